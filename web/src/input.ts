/** Pointer and keys to tools and actions. */

import { hoverAt, stopHover } from "./decoding";
import { objectAt, update } from "./committed";
import { cancel, choose, commit, inTurn, redo, undo } from "./editor";
import { Keys, nameOf, type Action } from "./keys";
import { toggleLabel } from "./labels";
import type { Point } from "./masks/brush";
import { closeUp, go, skip, submit } from "./navigation";
import { pointerAt, setPointer, stage } from "./scene";
import { remove, select, selectNext } from "./selection";
import {
  allHidden, bindings, busy, cursor, dialog, draft, failed, labels, mayChange, objects, tool,
} from "./state";
import { accept, acceptAll, reject } from "./suggestions";
import { currentTool, resizeBrush, take } from "./tools";
import type { Press } from "./tools/tool";

const ZOOM_STEP = 1.25;
const KEY_STEP = 4;
const KEY_LEAP = 40;

let spaceHeld = false;
let panning: { id: number; x: number; y: number } | null = null;
let pressing: { id: number; background: boolean } | null = null;
let element: HTMLElement | null = null;

const pressOf = (event: PointerEvent | MouseEvent, background = false): Press => ({
  background: background || event.shiftKey,
  alt: event.altKey,
  time: event.timeStamp,
});

function placeOf(event: MouseEvent): Point {
  const box = element!.getBoundingClientRect();
  return stage.view.toImage(event.clientX - box.left, event.clientY - box.top);
}

function down(event: PointerEvent): void {
  element!.focus({ preventScroll: true });
  element!.setPointerCapture(event.pointerId);
  if (event.button === 1 || (event.button === 0 && spaceHeld)) {
    panning = { id: event.pointerId, x: event.clientX, y: event.clientY };
    element!.classList.add("panning");
    return;
  }
  const at = placeOf(event);
  if (event.button === 0 && (event.ctrlKey || event.metaKey)) {
    const object = objectAt(at.x, at.y);
    if (object) void select(object.instance.id);
    return;
  }
  if ((event.button !== 0 && event.button !== 2) || !mayChange()) return;
  const background = event.button === 2;
  pressing = { id: event.pointerId, background };
  currentTool().down(at, pressOf(event, background));
}

function move(event: PointerEvent): void {
  draft.value?.timer.touch();
  if (panning) {
    stage.view.pan(event.clientX - panning.x, event.clientY - panning.y);
    panning = { ...panning, x: event.clientX, y: event.clientY };
    stage.viewChanged();
    return;
  }
  const at = placeOf(event);
  cursor.value = null;
  setPointer(at);
  if (pressing) {
    const coalesced = event.getCoalescedEvents?.() ?? [];
    const places = (coalesced.length ? coalesced : [event]).map(placeOf);
    currentTool().drag?.(places, pressOf(event, pressing.background));
  } else if (!spaceHeld) currentTool().hover?.(at, pressOf(event));
}

function up(event: PointerEvent): void {
  if (panning?.id === event.pointerId) {
    panning = null;
    element!.classList.remove("panning");
  } else if (pressing?.id === event.pointerId) {
    currentTool().up?.(placeOf(event), pressOf(event, pressing.background));
    pressing = null;
  }
}

function lost(): void {
  panning = null;
  if (pressing) currentTool().cancel?.();
  pressing = null;
}

function wheel(event: WheelEvent): void {
  event.preventDefault();
  const box = element!.getBoundingClientRect();
  const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
  stage.view.zoom(
    Math.exp(-event.deltaY * lines * 0.002),
    event.clientX - box.left,
    event.clientY - box.top,
  );
  stage.viewChanged();
}

/** Follows the pointer over the stage; returns how to stop. */
export function attach(target: HTMLElement): () => void {
  element = target;
  const stop = new AbortController();
  const options = { signal: stop.signal };
  target.addEventListener("pointerdown", down, options);
  target.addEventListener("pointermove", move, options);
  target.addEventListener("pointerup", up, options);
  target.addEventListener("pointercancel", lost, options);
  target.addEventListener("pointerleave", () => {
    setPointer(null);
    stopHover();
  }, options);
  target.addEventListener("contextmenu", (event) => event.preventDefault(), options);
  target.addEventListener("wheel", wheel, { ...options, passive: false });
  window.addEventListener("keydown", keyDown, options);
  window.addEventListener("keyup", keyUp, options);
  window.addEventListener("blur", () => setSpace(false), options);
  return () => stop.abort();
}

function setSpace(held: boolean): void {
  spaceHeld = held;
  element?.classList.toggle("grab", held);
}

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Buttons and lists keep the keys that they themselves understand. */
function belongsTo(target: EventTarget | null, name: string): boolean {
  if (!(target instanceof HTMLElement) || target === element) return false;
  if (typing(target)) return name !== "Escape";
  const control = target.closest("button, [role=option], summary");
  return control !== null && /^(Enter|Space|Tab|Shift\+Tab|Arrow\w+)$/.test(name);
}

function keyDown(event: KeyboardEvent): void {
  if (dialog.value) return;
  const name = nameOf(event);
  if (belongsTo(event.target, name)) return;
  if (typing(event.target) && name === "Escape") {
    element?.focus();
    return;
  }
  draft.value?.timer.touch();
  if (name === "Space") {
    event.preventDefault();
    setSpace(true);
    return;
  }
  if (/^[1-9]$/.test(name)) {
    const label = labels.value[Number(name) - 1];
    if (label) void inTurn(() => toggleLabel(label));
    return;
  }
  const action = new Keys(bindings.value).actionOf(event);
  if (!action) return;
  // Tab leaves the stage where there is nothing to choose from: no trap for keyboards.
  if (name.endsWith("Tab") && !choosable()) return;
  event.preventDefault();
  act(action, event.shiftKey);
}

function keyUp(event: KeyboardEvent): void {
  if (event.key === " ") setSpace(false);
}

const choosable = (): boolean =>
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
  used.down(at, press);
  used.up?.(at, press);
}

function zoomBy(factor: number): void {
  const { view } = stage;
  const at = pointerAt();
  const middle = at ? view.toScreen(at) : { x: view.width / 2, y: view.height / 2 };
  view.zoom(factor, middle.x, middle.y);
  stage.viewChanged();
}

export function fit(): void {
  stage.view.fit();
  stage.viewChanged();
}

/** Commits the object; a polygon that is being drawn is closed first. */
export function finish(): void {
  if (currentTool().finish?.()) return;
  void commit();
}

function drop(): void {
  if (!currentTool().cancel?.()) void cancel();
}

export function toggleAll(): void {
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
    case "undo": return void undo();
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
    case "skip": return report(skip("skipped by key"));
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

