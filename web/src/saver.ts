/** Sends the journal's changes to the server, again and again until it has them all. */

import { signal } from "@preact/signals";
import { ApiError } from "./api";
import { operationOf, sendable, type Entry, type Journal } from "./journal";
import type { Operation, OperationsAnswer } from "./types";

export type SaveState = "saved" | "saving" | "offline" | "conflict";

export type Send = (
  image: string,
  client: string,
  operations: Operation[],
) => Promise<OperationsAnswer>;

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const BATCH = 50;

export class Saver {
  readonly state = signal<SaveState>("saving");
  readonly waiting = signal(0);
  /** Changes in conflict or refused, to be settled by a person. */
  readonly unsettled = signal<Entry[]>([]);
  /** Why nothing could be sent; empty while all is well. */
  readonly trouble = signal("");
  /** Called with each instance's new version, once the server has it. */
  onVersion: (image: string, instance: string, version: number) => void = () => {};
  /** Called with an image's new version, and how many changes of this tab the server has of it. */
  onSaved: (image: string, version: number, changes: number) => void = () => {};

  /** Versions that the server gave to this tab's own changes: the next ones build on them. */
  private readonly versions = new Map<string, number>();
  private running: Promise<void> | null = null;
  private again = false;
  /** Changes on their way to the disk, which a look through the journal may miss. */
  private adding = 0;
  private wait = FIRST_WAIT;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly journal: Journal,
    private readonly project: string,
    private readonly client: string,
    private readonly send: Send,
  ) {}

  /** Keeps a change and starts to send it. Resolves when it is on this computer's disk. */
  async add(change: Omit<Entry, "project" | "client" | "state" | "seq" | "op">): Promise<void> {
    this.state.value = "saving";
    const { project, client } = this;
    const op = crypto.randomUUID();
    this.adding++;
    try {
      await this.journal.add({ ...change, op, project, client, state: "waiting" });
    } finally {
      this.adding--;
    }
    void this.flush();
  }

  /** Sends what waits, at once; calls while it is sending are joined. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    this.again = true;
    this.running ??= this.run().finally(() => (this.running = null));
    return this.running;
  }

  async settle(entry: Entry, instead: Entry | null): Promise<void> {
    await this.journal.resolve(entry, instead);
    await this.flush();
  }

  private async run(): Promise<void> {
    while (this.again) {
      this.again = false;
      try {
        await locked(() => this.sendAll());
        this.wait = FIRST_WAIT;
        this.trouble.value = "";
      } catch (error) {
        this.trouble.value =
          error instanceof ApiError ? error.message : "The server cannot be reached.";
        this.timer = setTimeout(() => void this.flush(), this.wait);
        this.wait = Math.min(LONGEST_WAIT, this.wait * 2);
      }
      await this.report();
    }
  }

  private async sendAll(): Promise<void> {
    for (;;) {
      const next = sendable(await this.journal.entries(this.project));
      if (!next.length) return;
      this.waiting.value = next.length;
      const { image } = next[0]!;
      await this.sendSome(
        image,
        next.filter((entry) => entry.image === image).slice(0, BATCH),
      );
    }
  }

  private async sendSome(image: string, entries: Entry[]): Promise<void> {
    let answer: OperationsAnswer;
    try {
      answer = await this.send(image, this.client, entries.map((e) => this.operation(e)));
    } catch (error) {
      // What the server will never take must not hold up all that follows; alone it is set aside.
      if (!(error instanceof ApiError) || !NEVER.has(error.status)) throw error;
      if (entries.length > 1) for (const entry of entries) await this.sendSome(image, [entry]);
      else await this.journal.refuse(entries[0]!, error.message);
      return;
    }
    let changes = 0;
    const sent = new Map(entries.map((entry) => [entry.op, entry]));
    for (const result of answer.results) {
      const entry = sent.get(result.op);
      if (!entry) continue;
      await this.journal.settle(entry, result);
      sent.delete(result.op);
      if (result.status === "conflict") continue;
      if (entry.client === this.client) {
        this.versions.set(entry.instance, result.version);
        changes += 1;
      }
      this.onVersion(image, entry.instance, result.version);
    }
    this.onSaved(image, answer.version, changes);
    if (sent.size) throw new Error("The server did not say what became of every change.");
  }

  private operation(entry: Entry): Operation {
    const own = entry.client === this.client ? (this.versions.get(entry.instance) ?? 0) : 0;
    return { ...operationOf(entry), base: Math.max(entry.base, own) };
  }

  private async report(): Promise<void> {
    const entries = await this.journal.entries(this.project);
    this.unsettled.value = entries.filter((entry) => entry.state !== "waiting");
    this.waiting.value = entries.length - this.unsettled.value.length;
    if (this.trouble.value) this.state.value = "offline";
    else if (this.unsettled.value.length) this.state.value = "conflict";
    else this.state.value = this.again || this.adding || this.waiting.value ? "saving" : "saved";
  }
}

/**
 * The version of an image that was seen, once the server has so many changes of this tab: its own,
 * unless others changed the image as well.
 */
export const seenAfter = (seen: number, version: number, changes: number): number =>
  version - seen <= changes ? Math.max(seen, version) : seen;

/** Answers that no repetition changes. */
const NEVER = new Set([400, 404, 413, 415, 422]);

/** One tab sends at a time: they share the journal. */
const locked = (work: () => Promise<void>): Promise<void> =>
  typeof navigator !== "undefined" && navigator.locks
    ? navigator.locks.request("samkit-journal", work)
    : work();
