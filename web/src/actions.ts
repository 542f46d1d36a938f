/** What keys and buttons do, by its name. */

import { objectAt, update } from "./committed";
import { hoverAt } from "./decoding";
import { cancel, choose, commit, inTurn, redo, undo } from "./editor";
import type { Action } from "./keys";
import { closeUp, go, submit } from "./navigation";
import { pointerAt, stage } from "./scene";
import { remove, select, selectNext } from "./selection";
import { allHidden, busy, cursor, dialog, draft, failed, mayChange, objects, pen, tool } from "./state";
import { accept, acceptAll, reject } from "./suggestions";
import { currentTool, resizeBrush, take } from "./tools";

const ZOOM_STEP = 1.25;
const KEY_STEP = 4;
const KEY_LEAP = 40;

/** Whether there are candidates to go through. */
export const choosable = (): boolean =>
  busy.value || (draft.value?.state.mask === null && draft.value.state.candidates.length > 1);

function moveCursor(dx: number, dy: number, far: boolean): void {
  const { view, size } = stage;
  const middle = view.toImage(view.width / 2, view.height / 2);
  const from = pointerAt() ?? middle;
  const step = (far ? KEY_LEAP : KEY_STEP) / view.scale;
  const at = {
    x: Math.min(size.width - 0.5, Math.max(0.5, from.x + dx * step)),
    y: Math.min(size.height - 0.5, Math.max(0.5, from.y + dy * step)),
  };
  cursor.value = at;
  if (view.reveal(at)) stage.viewChanged();
  stage.invalidate("cursor");
  const press = { background: false, alt: false, time: performance.now() };
  if (tool.value === "point") hoverAt(at, press.time);
  else currentTool().hover?.(at, press);
}

function pressAt(background: boolean): void {
  const at = pointerAt();
  if (!at) return moveCursor(0, 0, false);
  if (!mayChange()) return;
  const press = { background, alt: false, time: performance.now() };
  const used = currentTool();
  const from = pen.value;
  if (used.line && from) used.line(from, at, press);
  else {
    used.down(at, press);
    used.up?.(at, press);
  }
  pen.value = used.line ? at : null;
}

function zoomBy(factor: number): void {
  const { view } = stage;
  const at = pointerAt();
  const middle = at ? view.toScreen(at) : { x: view.width / 2, y: view.height / 2 };
  view.zoom(factor, middle.x, middle.y);
  stage.viewChanged();
}

function fit(): void {
  stage.view.fit();
  stage.viewChanged();
}

/** Commits the object; a polygon that is being drawn is closed first. */
function finish(): void {
  if (currentTool().finish?.()) return;
  void commit();
}

function drop(): void {
  pen.value = null;
  if (!currentTool().cancel?.()) void cancel();
}

/** Takes back a corner of what is being drawn, or else a change of the object. */
function takeBack(): void {
  pen.value = null;
  if (!currentTool().undo?.()) void undo();
}

function toggleAll(): void {
  allHidden.value = !allHidden.value;
}

function toggleField(field: "hidden" | "locked"): void {
  const current = draft.value;
  const object = current
    ? objects.value.find(({ instance }) => instance.id === current.id)
    : lastLocked(field);
  if (!object) return;
  void commit().then(() =>
    inTurn(() => {
      const now = objects.value.find(({ instance }) => instance.id === object.instance.id);
      if (now) update(now, { [field]: !now.instance[field] });
    }),
  );
}

/** Without an object at hand, the key takes back what it did last. */
const lastLocked = (field: "hidden" | "locked") =>
  objects.value.findLast(({ instance }) => instance[field]);

const report = (work: Promise<unknown>): void => void work.catch(failed);

/** Carries out an action, from a key or a button. */
export function act(action: Action, far = false): void {
  switch (action) {
    case "commit": return finish();
    case "cancel": return drop();
    case "candidate": return void choose(1);
    case "candidateBack": return void choose(-1);
    case "point": case "box": case "polygon": case "brush": case "eraser": case "scribble":
      return take(action);
    case "smaller": return resizeBrush(-1);
    case "larger": return resizeBrush(1);
    case "undo": return takeBack();
    case "redo": return void redo();
    case "remove": return void remove();
    case "nextObject": return selectNext(1);
    case "previousObject": return selectNext(-1);
    case "hide": return toggleField("hidden");
    case "hideAll": return toggleAll();
    case "lock": return toggleField("locked");
    case "label": return document.getElementById("label-text")?.focus();
    case "fit": return fit();
    case "zoomIn": return zoomBy(ZOOM_STEP);
    case "zoomOut": return zoomBy(1 / ZOOM_STEP);
    case "closeUp": return report(closeUp());
    case "previousImage": return report(go(-1));
    case "nextImage": return report(go(1));
    case "submit": return report(submit());
    case "skip": return document.getElementById("image-note")?.focus();
    case "accept": return accept();
    case "reject": return reject();
    case "acceptAll": return acceptAll();
    case "left": return moveCursor(-1, 0, far);
    case "right": return moveCursor(1, 0, far);
    case "up": return moveCursor(0, -1, far);
    case "down": return moveCursor(0, 1, far);
    case "press": return pressAt(false);
    case "pressBackground": return pressAt(true);
    case "pick": {
      const at = pointerAt();
      const object = at && objectAt(at.x, at.y);
      if (object) void select(object.instance.id);
      return;
    }
    case "help":
      dialog.value = "help";
  }
}

