import "fake-indexeddb/auto";
import { expect, it, vi } from "vitest";
import { ApiError } from "../src/api";
import { Journal, withChanges } from "../src/journal";
import { Saver, seenAfter, type Send } from "../src/saver";
import type { Instance, InstanceValue, Operation, OperationResult } from "../src/types";

const value = (label: string): InstanceValue => ({
  rle: { size: [2, 2], counts: "4" },
  labels: [label],
  stage: "manual",
  prompts: [],
  model: null,
  predicted_iou: null,
  seconds: 1,
});

/** A server in memory that follows the contract: versions, idempotence, conflicts. */
class Server {
  readonly instances = new Map<string, Instance>();
  readonly seen = new Map<string, OperationResult>();
  version = 0;
  up = true;
  answers = true;

  readonly send: Send = async (_image, _client, operations) => {
    if (!this.up) throw new TypeError("Failed to fetch");
    const results = operations.map((operation) => this.apply(operation));
    if (!this.answers) throw new TypeError("Failed to fetch");
    return { version: this.version, results };
  };

  private apply(operation: Operation): OperationResult {
    const before = this.seen.get(operation.op);
    if (before) return { ...before, status: "duplicate" };
    const current = this.instances.get(operation.instance) ?? null;
    if ((current?.version ?? 0) !== operation.base) {
      return { op: operation.op, status: "conflict", version: current?.version ?? 0, current };
    }
    if (operation.value?.labels[0] === "bad") throw new ApiError(422, "Such a mask is not allowed.");
    const version = operation.base + 1;
    this.version += 1;
    this.instances.set(operation.instance, { ...operation.value!, id: operation.instance, version });
    const result: OperationResult = { op: operation.op, status: "accepted", version };
    this.seen.set(operation.op, result);
    return result;
  }
}

let names = 0;
async function setUp(server = new Server()) {
  const name = `journal-${names++}`;
  const journal = await Journal.open(name);
  const saver = new Saver(journal, "project", "client", server.send);
  const put = (instance: string, base: number, label: string) =>
    saver.add({ image: "i1", kind: "put", instance, base, value: value(label) });
  return { name, server, journal, saver, put };
}

it("what is added while the journal is looked through is not called saved", async () => {
  const { server, journal, saver, put } = await setUp();
  const complete: boolean[] = [];
  saver.state.subscribe((state) => {
    if (state === "saved") complete.push(server.instances.has("b"));
  });
  const entries = journal.entries.bind(journal);
  let reads = 0;
  journal.entries = (project) => {
    const found = entries(project);
    if (++reads === 3) void put("b", 0, "dog"); // the look after all was sent
    return found;
  };
  await put("a", 0, "cat");
  await vi.waitFor(() => expect(server.instances.has("b")).toBe(true));
  await saver.flush();
  expect(complete).not.toContain(false);
});

it("an acknowledged change leaves the journal, and only then all is saved", async () => {
  const { server, journal, saver, put } = await setUp();
  await put("a", 0, "cat");
  expect(await journal.entries("project")).toHaveLength(1);
  expect(saver.state.value).toBe("saving");
  await saver.flush();
  expect(server.instances.get("a")?.labels).toEqual(["cat"]);
  expect(await journal.entries("project")).toEqual([]);
  expect(saver.state.value).toBe("saved");
});

it("changes of one instance follow each other's versions", async () => {
  const { server, saver, put } = await setUp();
  await Promise.all([put("a", 0, "one"), put("a", 0, "two"), put("a", 0, "three")]);
  await saver.flush();
  expect(server.instances.get("a")).toMatchObject({ labels: ["three"], version: 3 });
  expect(saver.state.value).toBe("saved");
});

it("changes made while the server is away survive the tab and are sent once it is back", async () => {
  const { name, server, saver, put } = await setUp();
  server.up = false;
  await put("a", 0, "cat");
  await put("b", 0, "dog");
  await saver.flush();
  expect(saver.state.value).toBe("offline");
  server.up = true;
  const later = new Saver(await Journal.open(name), "project", "client", server.send);
  await later.flush();
  expect([...server.instances.keys()]).toEqual(["a", "b"]);
  expect(later.state.value).toBe("saved");
});

it("a change whose acknowledgement was lost is not made twice", async () => {
  const { server, saver, put } = await setUp();
  server.answers = false;
  await put("a", 0, "cat");
  await saver.flush();
  server.answers = true;
  await saver.flush();
  expect(server.instances.get("a")?.version).toBe(1);
  expect(saver.state.value).toBe("saved");
});

it("only one's own changes are seen without being looked at", async () => {
  const { server, saver, put } = await setUp();
  let seen = 0;
  saver.onSaved = (_image, version, changes) => (seen = seenAfter(seen, version, changes));
  await Promise.all([put("a", 0, "cat"), put("b", 0, "dog"), put("a", 1, "puma")]);
  await saver.flush();
  expect(seen).toBe(3);
  server.answers = false;
  await put("c", 0, "cow");
  await saver.flush();
  server.answers = true;
  await saver.flush();
  expect(seen).toBe(4);
  server.version += 1; // somebody else
  await put("d", 0, "pig");
  await saver.flush();
  await put("d", 1, "hog");
  await saver.flush();
  expect([seen, server.version]).toEqual([4, 7]);
});

it("a conflict keeps both versions until a person settles it", async () => {
  const { server, journal, saver, put } = await setUp();
  server.instances.set("a", { ...value("theirs"), id: "a", version: 4 });
  await put("a", 1, "mine");
  await put("b", 0, "other");
  await saver.flush();
  expect(saver.state.value).toBe("conflict");
  expect(server.instances.get("a")?.labels).toEqual(["theirs"]);
  expect(server.instances.has("b")).toBe(true);
  const [entry] = saver.unsettled.value;
  expect([entry!.value?.labels, entry!.current?.labels]).toEqual([["mine"], ["theirs"]]);
  const { seq: _seq, current: _current, ...mine } = entry!;
  await saver.settle(entry!, { ...mine, op: "again", base: 4, state: "waiting" });
  expect(server.instances.get("a")).toMatchObject({ labels: ["mine"], version: 5 });
  expect(await journal.entries("project")).toEqual([]);
  expect(saver.state.value).toBe("saved");
});

it("a change that is refused is set aside with its reason, and the others go on", async () => {
  const { server, saver, put } = await setUp();
  await Promise.all([put("a", 0, "bad"), put("b", 0, "good")]);
  await saver.flush();
  expect([...server.instances.keys()]).toEqual(["b"]);
  expect(saver.unsettled.value.map((e) => e.reason)).toEqual(["Such a mask is not allowed."]);
});

it("an image is shown with the changes that the server does not have yet", async () => {
  const { server, journal, saver, put } = await setUp();
  server.up = false;
  await put("a", 2, "mine");
  await put("new", 0, "added");
  await saver.add({ image: "i1", kind: "delete", instance: "b", base: 1 });
  await saver.flush();
  const shown = withChanges(
    [{ ...value("old"), id: "a", version: 2 }, { ...value("gone"), id: "b", version: 1 }],
    await journal.ofImage("project", "i1"),
  );
  expect(shown.map((i) => [i.id, i.labels[0], i.version])).toEqual([
    ["a", "mine", 2],
    ["new", "added", 0],
  ]);
});
