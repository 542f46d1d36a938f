import { act } from "../actions";
import { session } from "../session";
import { draft, holder, image, images, progress, project, recentSeconds, saver, seconds, dialog } from "../state";
import { clock } from "../timer";
import { Icon } from "./icons";
import { titled } from "./toolbar";

const MOVE_ON_AFTER = 30;

const WORDS = { saved: "saved", saving: "saving", offline: "offline", conflict: "conflict" } as const;

function SaveState() {
  const kept = saver.value;
  const state = kept?.state.value ?? "saving";
  const waiting = kept?.waiting.value ?? 0;
  const trouble = kept?.trouble.value ?? "";
  const unsettled = kept?.unsettled.value.length ?? 0;
  const why =
    state === "offline"
      ? `${trouble} ${waiting} changes are kept on this computer and are sent when it is back.`
      : state === "conflict"
        ? `${unsettled} changes met a newer version or were refused; open to settle them.`
        : state === "saved"
          ? "The server has everything."
          : "The server is being told.";
  const open = () => {
    if (state === "conflict") dialog.value = "conflict";
    else if (state === "offline") dialog.value = "token";
  };
  return (
    <button type="button" class={`save ${state}`} title={why} onClick={open} aria-live="polite">
      <span class="dot" aria-hidden="true" />
      <span data-testid="save-state">{WORDS[state]}</span>
      {state === "offline" && waiting > 0 && <span class="count">{waiting} kept here</span>}
      {state === "conflict" && <span class="count">{unsettled}</span>}
    </button>
  );
}

function Timer() {
  const { masks, seconds: spent } = session.statistics.value;
  const late = recentSeconds.value >= MOVE_ON_AFTER;
  return (
    <div class="figures">
      <span class={late ? "timer late" : "timer"} title="Active seconds of this object">
        {draft.value ? clock(seconds.value) : "–:––"}
      </span>
      {late && (
        <span class="move-on" role="status" title="The paper's annotators spent at most 30 seconds on an object">
          move on?
        </span>
      )}
      <span title="Masks made or accepted in this tab">
        <b>{masks}</b> {masks === 1 ? "mask" : "masks"}
      </span>
      <span title="Masks in an hour of active work">
        <b>{spent > 0 ? Math.round((masks * 3600) / spent) : "–"}</b>/h
      </span>
      <span title="Active seconds of a mask">
        <b>{masks ? (spent / masks).toFixed(1) : "–"}</b> s/mask
      </span>
    </div>
  );
}

export function Topbar() {
  const opened = image.value;
  const at = images.value.findIndex(({ id }) => id === opened?.id);
  const counts = project.value?.counts;
  const total = counts ? Object.values(counts).reduce((a, b) => a + b, 0) : images.value.length;
  const made = progress.value;
  const mayExport = (project.value?.me.role ?? "annotator") !== "annotator";
  return (
    <header class="topbar">
      <div class="brand">
        samkit <span>{project.value?.name}</span>
      </div>
      <div class="where">
        <button type="button" class="quiet" data-testid="previous-image" title={titled("Previous image", "previousImage")} aria-label="Previous image" onClick={() => act("previousImage")}>
          <Icon name="left" />
        </button>
        <span class="name" data-testid="image-name" title={opened?.name}>
          {opened?.name ?? "…"}
        </span>
        <button type="button" class="quiet" data-testid="next-image" title={titled("Next image", "nextImage")} aria-label="Next image" onClick={() => act("nextImage")}>
          <Icon name="right" />
        </button>
        <span class="muted">
          {at >= 0 ? `${at + 1} of ${total}` : ""}
        </span>
        {opened && <span class={`state ${opened.state}`}>{opened.state.replace("_", " ")}</span>}
      </div>
      {made && made.done < made.total && (
        <span class="muted" title="Embeddings made ahead">
          {made.done}/{made.total} prepared
        </span>
      )}
      <Timer />
      <SaveState />
      {mayExport && (
        <button type="button" data-testid="export" title="Write masks in a format of other tools" onClick={() => (dialog.value = "export")}>
          Export
        </button>
      )}
      <button type="button" class="primary" data-testid="submit-image" title={titled("Submit the image", "submit")} disabled={!opened || holder.value !== null} onClick={() => act("submit")}>
        Submit
      </button>
    </header>
  );
}
