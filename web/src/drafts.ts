/** Objects at hand on this computer's disk, until they are committed or cancelled. */

import { committed, done } from "./journal";
import type { Rle } from "./masks/rle";
import type { Instance, Prompt } from "./types";

export interface KeptDraft {
  readonly project: string;
  readonly image: string;
  /** The tab that has it at hand. */
  readonly tab: string;
  /** Of the object that it is or becomes. */
  readonly id: string;
  /** The object as it was, where one is being changed. */
  readonly origin: Instance | null;
  readonly rle: Rle;
  readonly predicted_iou: number | null;
  /** Everything that was done. */
  readonly prompts: readonly Prompt[];
  readonly labels: string[];
  readonly seconds: number;
  /** When it was written, in milliseconds. */
  readonly at: number;
}

const STORE = "drafts";
const KEY = ["project", "image", "tab", "id"] as const;

type Key = Pick<KeptDraft, (typeof KEY)[number]>;

export class Drafts {
  private constructor(private readonly database: IDBDatabase) {}

  static async open(name = "samkit-drafts"): Promise<Drafts> {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(STORE, { keyPath: [...KEY] });
    };
    return new Drafts(await done(opening));
  }

  /** Writes a draft over what was kept of it; when this resolves it is on disk. */
  async keep(draft: KeptDraft): Promise<void> {
    const transaction = this.write();
    transaction.objectStore(STORE).put(draft);
    await committed(transaction);
  }

  async forget(draft: Key): Promise<void> {
    const transaction = this.write();
    transaction.objectStore(STORE).delete(keyOf(draft));
    await committed(transaction);
  }

  /** A draft that another tab left is this tab's from now on. */
  async adopt(draft: KeptDraft, tab: string): Promise<void> {
    const transaction = this.write();
    transaction.objectStore(STORE).delete(keyOf(draft));
    transaction.objectStore(STORE).put({ ...draft, tab });
    await committed(transaction);
  }

  /** What a tab finds of an image: its own draft, or the newest of tabs that are not open any more. */
  async left(
    project: string, image: string, tab: string, isOpen: (tab: string) => boolean,
  ): Promise<KeptDraft | null> {
    const all = IDBKeyRange.bound([project, image], [project, image, []]);
    const store = this.database.transaction(STORE, "readonly").objectStore(STORE);
    const found = (await done(store.getAll(all))) as KeptDraft[];
    const newestFirst = found.sort((a, b) => b.at - a.at);
    const own = newestFirst.find((draft) => draft.tab === tab);
    return own ?? newestFirst.find((draft) => !isOpen(draft.tab)) ?? null;
  }

  private write(): IDBTransaction {
    return this.database.transaction(STORE, "readwrite", { durability: "strict" });
  }
}

const keyOf = (draft: Key): string[] => KEY.map((field) => draft[field]);
