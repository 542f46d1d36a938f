/** Starts the page. */

import { effect } from "@preact/signals";
import { render } from "preact";
import { Dialogs } from "./components/dialogs";
import { Filmstrip } from "./components/filmstrip";
import { Panel } from "./components/panel";
import { StageView } from "./components/stage-view";
import { Toolbar } from "./components/toolbar";
import { Topbar } from "./components/topbar";
import { connect } from "./connection";
import { unwritten } from "./keeping";
import { letGo } from "./leases";
import { contrast, draft, opacity, project, recentSeconds, saver, seconds } from "./state";
import { onToken, watchAddress } from "./token";
import { storeView } from "./view-settings";
import "./styles/base.css";
import "./styles/topbar.css";
import "./styles/toolbar.css";
import "./styles/stage.css";
import "./styles/panel.css";
import "./styles/filmstrip.css";
import "./styles/dialogs.css";

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

watchAddress();
onToken(() => void connect());
addEventListener("online", () => void saver.value?.flush());
addEventListener("beforeunload", (event) => {
  if (unwritten()) event.preventDefault();
});
addEventListener("pagehide", letGo);
function showSeconds(): void {
  seconds.value = Math.floor(draft.value?.seconds ?? 0);
  recentSeconds.value = Math.floor(draft.value?.recentSeconds ?? 0);
}
setInterval(showSeconds, 500);
effect(showSeconds);
effect(() => {
  document.title = project.value ? `${project.value.name} – samkit` : "samkit annotate";
});
effect(() => storeView(localStorage, { opacity: opacity.value, contrast: contrast.value }));
render(<App />, document.getElementById("app")!);
void connect();
