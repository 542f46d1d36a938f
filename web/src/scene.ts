/** The stage of the page and its layers: what is drawn follows the state. */

import { effect } from "@preact/signals";
import { Committed } from "./canvas/committed";
import { Live, type Shown } from "./canvas/live";
import { Picture } from "./canvas/picture";
import { Stage } from "./canvas/stage";
import { previewSize, type Candidate } from "./decoder/model";
import type { Frame } from "./decoder/prompts";
import type { Point } from "./masks/brush";
import { around, type MaskCrop, type Rect, type Size } from "./masks/crop";
import type { MaskObject } from "./objects";
import { brushSize, cursor, draft, frame, hover, objects, pen, tool } from "./state";

export const stage = new Stage();
export const picture = new Picture();
const committed = new Committed();
const live = new Live();

export type Drawing = { kind: "box" | "line"; points: readonly Point[] };
let drawing: Drawing | null = null;
/** Where the pointer is, in pixels of the image. */
let pointer: Point | null = null;
/** The mask of a stroke that has not ended. */
let stroke: MaskCrop | null = null;

stage.paintWith("image", picture.painter);
stage.paintWith("masks", committed.painter);
stage.paintWith("live", live.painter);

/** Whether the pointer has a ring, which shows what the brush would paint. */
const hasRing = (): boolean => tool.value === "brush" || tool.value === "eraser";
let ringDrawn = false;

stage.paintWith("cursor", (context, view) => {
  const at = cursor.value ?? pointer;
  const pixels = hasRing();
  ringDrawn = at !== null && (pixels || cursor.value !== null);
  stage.setEmpty("cursor", !ringDrawn);
  if (!at || !ringDrawn) return;
  const rings = [["rgb(0 0 0 / .7)", 3], ["white", 1.25]] as const;
  for (const [colour, width] of rings) {
    context.lineWidth = width / view.scale;
    context.strokeStyle = colour;
    context.beginPath();
    if (pixels) context.arc(at.x, at.y, brushSize.value / 2, 0, 2 * Math.PI);
    if (cursor.value) {
      if (pen.value) {
        context.moveTo(pen.value.x, pen.value.y);
        context.lineTo(at.x, at.y);
      }
      const r = 10 / view.scale;
      context.moveTo(at.x - r, at.y);
      context.lineTo(at.x + r, at.y);
      context.moveTo(at.x, at.y - r);
      context.lineTo(at.x, at.y + r);
    }
    context.stroke();
  }
});

effect(() => {
  pen.value;
  stage.invalidate("cursor");
});

/** size: of the image; the bitmap may be smaller. */
export function showImage(bitmap: ImageBitmap, size: Size): void {
  picture.set(bitmap, size);
  stage.setSize(size);
  committed.setSize(size, stage.view.fitScale);
  live.setSize(size);
  showLive();
  stage.viewChanged();
}

/** The same image with more pixels. */
export function sharpenImage(bitmap: ImageBitmap): void {
  picture.set(bitmap, stage.size);
  stage.invalidate("image");
}

/** Paints committed masks again: everywhere, or where the given ones lie. */
export function showObjects(changed?: readonly (MaskCrop | undefined)[]): void {
  const everything: Rect = { x: 0, y: 0, w: stage.size.width, h: stage.size.height };
  const rect = changed
    ? changed.reduce<Rect>((all, mask) => (mask ? around(all, mask) : all), { x: 0, y: 0, w: 0, h: 0 })
    : everything;
  const active = draft.value?.id;
  const shown = objects.value.filter(({ instance }: MaskObject) => instance.id !== active);
  stage.setEmpty("masks", shown.length === 0);
  stage.invalidate("masks", committed.repaint(shown, rect));
}

function shownOf(candidate: Candidate | null, encoded: Frame | null): Shown | null {
  if (!candidate || !encoded) return null;
  const { crop } = encoded;
  return { mask: candidate.preview, preview: previewSize(crop.w, crop.h), crop };
}

let lastShown: { candidate: Candidate | null; shown: Shown | null } = { candidate: null, shown: null };

/** Draws the draft or the hover's answer. `changed`: where the stroke changed pixels. */
export function showLive(changed?: Rect): void {
  const current = draft.value;
  const tentative = !current || current.empty;
  const candidate = current?.candidate ?? (tentative && !stroke ? hover.value : null);
  if (candidate !== lastShown.candidate) {
    const encoded = current?.candidate ? current.state.frame : frame.value;
    lastShown = { candidate, shown: shownOf(candidate, encoded) };
  }
  live.set(
    {
      predicted: lastShown.shown,
      tentative,
      painted: stroke ?? current?.state.mask ?? null,
      prompts: current?.given ?? [],
      drawing,
    },
    changed,
  );
  stage.invalidate("live", changed);
}

export function setStroke(mask: MaskCrop | null, changed?: Rect): void {
  stroke = mask;
  showLive(changed);
}

export function setDrawing(shape: Drawing | null): void {
  drawing = shape;
  showLive();
}

export function setPointer(at: Point | null): void {
  pointer = at;
  if (ringDrawn || hasRing()) stage.invalidate("cursor"); // no frame for nothing
}

export const pointerAt = (): Point | null => cursor.value ?? pointer;
