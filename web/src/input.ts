/** Pointer and keys to tools and actions. */

import { act, choosable } from "./actions";
import { objectAt } from "./committed";
import { stopHover } from "./decoding";
import { inTurn } from "./editor";
import { Keys, nameOf } from "./keys";
import { toggleLabel } from "./labels";
import type { Point } from "./masks/brush";
import { setPointer, stage } from "./scene";
import { select } from "./selection";
import { session } from "./session";
import { bindings, cursor, dialog, labels, mayChange, pen } from "./state";
import { currentTool } from "./tools";
import type { Press } from "./tools/tool";

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
  pen.value = null;
  pressing = { id: event.pointerId, background };
  currentTool().down(at, pressOf(event, background));
}

function move(event: PointerEvent): void {
  session.timer.touch();
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
  }
}

function hovered(event: PointerEvent): void {
  if (panning || pressing || spaceHeld) return;
  currentTool().hover?.(placeOf(event), pressOf(event));
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
  session.timer.touch();
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
  // A move is told with the next frame; the raw event, where browsers have it, comes at once.
  const soonest = "onpointerrawupdate" in target ? "pointerrawupdate" : "pointermove";
  target.addEventListener(soonest, (event) => hovered(event as PointerEvent), options);
  target.addEventListener("pointerup", up, options);
  target.addEventListener("pointercancel", lost, options);
  target.addEventListener("pointerleave", () => {
    setPointer(null);
    stopHover();
  }, options);
  target.addEventListener("contextmenu", (event) => event.preventDefault(), options);
  target.addEventListener("wheel", wheel, { ...options, passive: false });
  window.addEventListener("pointerdown", () => session.timer.touch(), { ...options, capture: true });
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
  session.timer.touch();
  const name = nameOf(event);
  if (belongsTo(event.target, name)) return;
  if (typing(event.target) && name === "Escape") {
    element?.focus();
    return;
  }
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
  if (name === "Backspace" && currentTool().undo?.()) return event.preventDefault();
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
