/** Starts the page. */

import { effect } from "@preact/signals";
import { render } from "preact";
import * as api from "./api";
import { Dialogs } from "./components/dialogs";
import { Filmstrip } from "./components/filmstrip";
import { Panel } from "./components/panel";
import { StageView } from "./components/stage-view";
import { Toolbar } from "./components/toolbar";
import { Topbar } from "./components/topbar";
import { loadDecoder } from "./decoding";
import { loadLabels, versionArrived } from "./editor";
import { Journal } from "./journal";
import { releaseOnLeave, start } from "./navigation";
import { Saver } from "./saver";
import { dialog, draft, failed, images, progress, project, saver, seconds } from "./state";
import { onToken, watchAddress } from "./token";
import "./styles.css";

const App = () => (
  <div class="app">
    <Topbar />
    <Toolbar />
    <StageView />
    <Panel />
    <Filmstrip />
    <Dialogs />
  </div>
);

/** A name of this tab, so that the server knows its own changes apart. */
function client(): string {
  const known = sessionStorage.getItem("samkit-client") ?? crypto.randomUUID();
  sessionStorage.setItem("samkit-client", known);
  return known;
}

let journal: Promise<Journal> | null = null;

async function connect(): Promise<void> {
  try {
    project.value = await api.project();
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
    saver.value = made;
    loadLabels();
    if (project.value.model) loadDecoder().catch(failed);
    await start(kept).catch(failed);
    void followEvents();
  }
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
        if (event.kind !== "prepared") return;
        images.value = images.value.map((summary) =>
          summary.id === event.image ? { ...summary, prepared: true } : summary,
        );
      }, stop.signal)
      .catch(() => undefined); // the save state tells of a lost server
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

watchAddress();
onToken(() => void connect());
addEventListener("online", () => void saver.value?.flush());
addEventListener("pagehide", releaseOnLeave);
addEventListener("beforeunload", (event) => {
  if (draft.value?.changed && !draft.value.empty) event.preventDefault();
});
setInterval(() => (seconds.value = draft.value?.timer.seconds ?? 0), 500);
effect(() => {
  document.title = project.value ? `${project.value.name} – samkit` : "samkit annotate";
});
render(<App />, document.getElementById("app")!);
void connect();
