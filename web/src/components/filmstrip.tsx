import { useEffect, useRef } from "preact/hooks";
import * as api from "../api";
import { open } from "../navigation";
import { stage } from "../scene";
import { failed, image, images } from "../state";
import type { ImageSummary } from "../types";

const SIDE = 128;
const AROUND = 9;
const bitmaps = new Map<string, Promise<ImageBitmap>>();

/** A thumbnail's pixels, fetched once; the oldest are forgotten. */
function thumbnail(id: string): Promise<ImageBitmap> {
  const known = bitmaps.get(id);
  if (known) return known;
  const made = api.picture(id, SIDE).then((blob) => createImageBitmap(blob));
  bitmaps.set(id, made);
  made.catch(() => bitmaps.delete(id));
  for (const old of bitmaps.keys()) if (bitmaps.size > 64) bitmaps.delete(old);
  return made;
}

function Thumb({ summary, active }: { summary: ImageSummary; active: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    let gone = false;
    // Behind what the open image needs.
    const wait = setTimeout(() => {
      thumbnail(summary.id).then((bitmap) => {
        const element = canvas.current;
        if (gone || !element) return;
        element.width = bitmap.width;
        element.height = bitmap.height;
        element.getContext("2d")!.drawImage(bitmap, 0, 0);
      }, () => undefined);
    }, 300);
    return () => {
      gone = true;
      clearTimeout(wait);
    };
  }, [summary.id]);
  return (
    <button
      type="button"
      class={`thumb ${summary.state}`}
      aria-current={active ? "true" : undefined}
      aria-label={`${summary.name}, ${summary.state.replace("_", " ")}`}
      title={summary.name}
      onClick={(event) => {
        // By the pointer: else the next Enter, which commits, would open the image once more.
        if (event.detail) stage.focus();
        void open(summary.id).catch(failed);
      }}
    >
      <canvas ref={canvas} width={1} height={1} aria-hidden="true" />
      <span class="dot" aria-hidden="true" />
    </button>
  );
}

/** The neighbours of the open image; few, however many there are. */
export function Filmstrip() {
  const all = images.value;
  const now = Math.max(0, all.findIndex(({ id }) => id === image.value?.id));
  const first = Math.max(0, Math.min(now - AROUND, all.length - 2 * AROUND - 1));
  return (
    <nav class="filmstrip" aria-label="Images">
      {all.slice(first, first + 2 * AROUND + 1).map((summary) => (
        <Thumb key={summary.id} summary={summary} active={summary.id === image.value?.id} />
      ))}
    </nav>
  );
}
