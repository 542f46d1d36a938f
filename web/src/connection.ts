/** The page and its server: the first contact, and every one after a break. */

import * as api from "./api";
import { changesArrived, versionArrived } from "./committed";
import { keepDrafts } from "./keeping";
import { Journal } from "./journal";
import { loadLabels } from "./labels";
import { leaseChanged, onFree } from "./leases";
import { open, resume, start } from "./navigation";
import { Saver } from "./saver";
import { dialog, failed, images, progress, project, saver } from "./state";

/** A name of this tab, so that the server knows its own changes apart. */
function client(): string {
  const known = sessionStorage.getItem("samkit-client") ?? crypto.randomUUID();
  sessionStorage.setItem("samkit-client", known);
  return known;
}

let journal: Promise<Journal> | null = null;

/** Begins, or goes on after the server or the token was lost. */
export async function connect(): Promise<void> {
  const before = project.value;
  try {
    project.value = await api.project();
    if (before && before.id !== project.value.id) return location.reload(); // another project
  } catch (error) {
    failed(error);
    dialog.value = "token";
    return;
  }
  journal ??= Journal.open();
  const kept = await journal;
  if (!saver.value) {
    const made = new Saver(kept, project.value.id, client(), api.operations);
    made.onVersion = versionArrived;
    made.onSaved = changesArrived;
    saver.value = made;
    await keepDrafts(client());
    onFree((image) => void open(image).catch(failed));
    loadLabels();
    await start(kept).catch(failed);
    void followEvents();
  } else await resume().catch(failed);
  void saver.value.flush();
}

/** Listens to the server as long as the page is open. */
async function followEvents(): Promise<void> {
  for (let wait = 1000; ; wait = Math.min(30_000, wait * 2)) {
    const stop = new AbortController();
    await api
      .events((event) => {
        wait = 1000;
        if (event.kind === "progress") progress.value = { done: event.done, total: event.total };
        if (event.kind === "lease") leaseChanged(event.image);
        if (event.kind !== "prepared") return;
        images.value = images.value.map((summary) =>
          summary.id === event.image ? { ...summary, prepared: true } : summary,
        );
      }, stop.signal)
      .catch(() => undefined); // the save state tells of a lost server
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
