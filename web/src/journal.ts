/**
 * Every change is written here, on this computer's disk, before it goes over the network, and
 * leaves only when the server has acknowledged it. Closing the tab, losing the server or the token
 * therefore loses nothing.
 */

import type { Instance, InstanceValue, Operation, OperationResult } from "./types";

export interface Entry {
  /** Order of the changes; given by the database. */
  seq?: number;
  project: string;
  image: string;
  /** The tab that made the change. */
  client: string;
  op: string;
  kind: "put" | "delete";
  instance: string;
  /** The version that the change was made on; moves along as earlier changes are acknowledged. */
  base: number;
  value?: InstanceValue;
  state: "waiting" | "conflict" | "refused";
  /** The server's version, where the change was in conflict with it; null: deleted there. */
  current?: Instance | null;
  /** The number of that version, also where it is a deletion. */
  version?: number;
  /** Why the server refused the change. */
  reason?: string;
}

const STORE = "operations";

export const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export const committed = (transaction: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    transaction.onerror = () => reject(transaction.error);
  });

export class Journal {
  private constructor(private readonly database: IDBDatabase) {}

  static async open(name = "samkit-journal"): Promise<Journal> {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => {
      const store = opening.result.createObjectStore(STORE, {
        keyPath: "seq",
        autoIncrement: true,
      });
      store.createIndex("project", "project");
      store.createIndex("image", ["project", "image"]);
    };
    return new Journal(await done(opening));
  }

  /** Keeps a change; when this resolves it is on disk. */
  async add(entry: Entry): Promise<void> {
    const transaction = this.write();
    transaction.objectStore(STORE).add(entry);
    await committed(transaction);
  }

  /** All kept changes of a project, oldest first. */
  entries(project: string): Promise<Entry[]> {
    return done(this.read().index("project").getAll(project));
  }

  /** Those of one image. */
  ofImage(project: string, image: string): Promise<Entry[]> {
    return done(this.read().index("image").getAll([project, image]));
  }

  /** What the server said of an entry: leaves, or stays as a conflict; later changes of the same
   * instance then build on the new version. */
  async settle(entry: Entry, result: OperationResult): Promise<void> {
    const transaction = this.write();
    const store = transaction.objectStore(STORE);
    if (result.status === "conflict") {
      const { current = null, version } = result;
      store.put({ ...entry, state: "conflict", current, version });
    } else {
      store.delete(entry.seq!);
      const cursor = store.index("image").openCursor(IDBKeyRange.only([entry.project, entry.image]));
      cursor.onsuccess = () => {
        const at = cursor.result;
        if (!at) return;
        const later = at.value as Entry;
        if (later.instance === entry.instance && later.state === "waiting") {
          at.update({ ...later, base: result.version });
        }
        at.continue();
      };
    }
    await committed(transaction);
  }

  /** The server will never take this change; it stays to be seen. */
  async refuse(entry: Entry, reason: string): Promise<void> {
    const transaction = this.write();
    transaction.objectStore(STORE).put({ ...entry, state: "refused", reason });
    await committed(transaction);
  }

  /** A conflict that a person settled: a new change instead of it, or none. */
  async resolve(entry: Entry, instead: Entry | null): Promise<void> {
    const transaction = this.write();
    transaction.objectStore(STORE).delete(entry.seq!);
    if (instead) transaction.objectStore(STORE).add(instead);
    await committed(transaction);
  }

  private read(): IDBObjectStore {
    return this.database.transaction(STORE, "readonly").objectStore(STORE);
  }

  private write(): IDBTransaction {
    return this.database.transaction(STORE, "readwrite", { durability: "strict" });
  }
}

/** The changes to send next: the oldest waiting one of each instance that has none in conflict. */
export function sendable(entries: readonly Entry[]): Entry[] {
  const seen = new Set<string>();
  const blocked = new Set(entries.filter((e) => e.state !== "waiting").map((e) => e.instance));
  return entries.filter((entry) => {
    if (entry.state !== "waiting" || blocked.has(entry.instance)) return false;
    if (seen.has(entry.instance)) return false;
    seen.add(entry.instance);
    return true;
  });
}

export const operationOf = ({ op, kind, instance, base, value }: Entry): Operation =>
  value ? { op, kind, instance, base, value } : { op, kind, instance, base };

/** The instances of an image with the changes that the server does not have yet. */
export function withChanges(instances: readonly Instance[], entries: readonly Entry[]): Instance[] {
  const result = new Map(instances.map((instance) => [instance.id, instance]));
  for (const entry of entries) {
    if (entry.state === "refused") continue;
    if (entry.kind === "delete") result.delete(entry.instance);
    else {
      const version = result.get(entry.instance)?.version ?? 0;
      result.set(entry.instance, { ...entry.value!, id: entry.instance, version });
    }
  }
  return [...result.values()];
}
