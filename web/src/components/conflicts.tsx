import { useEffect, useRef } from "preact/hooks";
import { ACTIVE } from "../colours";
import { paint } from "../canvas/tint";
import { cancel, commit } from "../editor";
import type { Entry } from "../journal";
import { decode, type Rle } from "../masks/rle";
import { open, refresh } from "../navigation";
import { objectOf } from "../objects";
import { picture } from "../scene";
import { setObjects } from "../selection";
import { dialog, draft, failed, image, images, objects, saver } from "../state";
import type { Instance } from "../types";

const SIDE = 320;

/** A version of an object on its part of the image. */
function Version({ rle, around }: { rle: Rle; around: Rle }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const [mask, other] = [decode(rle), decode(around)];
    const x = Math.min(mask.x, other.x);
    const y = Math.min(mask.y, other.y);
    const w = Math.max(mask.x + mask.w, other.x + other.w) - x;
    const h = Math.max(mask.y + mask.h, other.y + other.h) - y;
    const element = canvas.current!;
    element.width = Math.max(1, w);
    element.height = Math.max(1, h);
    const context = element.getContext("2d")!;
    picture.draw(context, { x, y, w, h });
    const layer = new OffscreenCanvas(element.width, element.height);
    const data = new ImageData(element.width, element.height);
    const rim = Math.max(1, Math.round(Math.max(w, h) / SIDE));
    paint(new Uint32Array(data.data.buffer), { x, y, w: element.width, h: element.height }, mask, {
      colour: ACTIVE, rim, striped: false,
    });
    layer.getContext("2d")!.putImageData(data, 0, 0);
    context.drawImage(layer, 0, 0);
  }, [rle.counts]);
  return <canvas ref={canvas} class="version" />;
}

const told = (instance: Instance | null | undefined): string =>
  instance ? instance.labels.join(", ") || "no label" : "deleted";

const nameOf = (id: string): string =>
  images.value.find((summary) => summary.id === id)?.name ?? "its image";

/**
 * Another object that is at hand is kept; of this one, what was settled stands. Once the server has
 * it, the image is as others see it: who settled all may hand it in.
 */
async function settle(entry: Entry, instead: Entry | null, ...shown: Instance[]): Promise<void> {
  const sent = saver.value!.settle(entry, instead);
  if (entry.image !== image.value?.id) return sent;
  const refreshed = refresh(entry.image, sent);
  await (draft.value?.id === entry.instance ? cancel() : commit());
  const others = objects.value.filter(({ instance }) => instance.id !== entry.instance);
  setObjects([...others, ...shown.map(objectOf)]);
  await refreshed;
}

function Conflict({ entry }: { entry: Entry }) {
  const { value, current, version = 0, seq: _seq, reason, ...rest } = entry;
  const again = (): Entry => ({ ...rest, ...(value && { value }), op: crypto.randomUUID(), state: "waiting" });
  const own = (id: string, of: number): Instance[] => (value ? [{ ...value, id, version: of }] : []);
  const other = current ? [current] : [];
  const mine = () => settle(entry, { ...again(), base: version }, ...own(entry.instance, version));
  const both = () => {
    const id = crypto.randomUUID();
    dialog.value = null;
    return settle(entry, { ...again(), instance: id, base: 0 }, ...other, ...own(id, 0));
  };
  const theirs = () => settle(entry, null, ...other);
  const here = value && entry.image === image.value?.id;
  if (entry.state === "refused") {
    return (
      <article class="conflict">
        <p>The server refused this change: {reason}</p>
        <div class="buttons">
          <button type="button" onClick={() => void saver.value?.settle(entry, again())}>Try again</button>
          <button type="button" onClick={() => void saver.value?.settle(entry, null)}>Drop it</button>
        </div>
      </article>
    );
  }
  return (
    <article class="conflict">
      <div class="sides">
        <figure>
          {here && value && <Version rle={value.rle} around={current?.rle ?? value.rle} />}
          <figcaption>yours: {entry.kind === "delete" ? "deleted" : value?.labels.join(", ") || "no label"}</figcaption>
        </figure>
        <figure>
          {here && current && <Version rle={current.rle} around={value.rle} />}
          <figcaption>
            {current?.editor ?? "theirs"}: {told(current)}
          </figcaption>
        </figure>
      </div>
      {!here && (
        <p class="hint">
          <button type="button" data-testid="open-conflict" onClick={() => void open(entry.image).catch(failed)}>
            Open {nameOf(entry.image)}
          </button>{" "}
          to see the masks.
        </p>
      )}
      <div class="buttons">
        <button type="button" data-testid="keep-mine" onClick={() => void mine().catch(failed)}>Keep mine</button>
        <button type="button" data-testid="keep-theirs" onClick={() => void theirs().catch(failed)}>Keep theirs</button>
        {entry.kind === "put" && <button type="button" data-testid="keep-both" onClick={() => void both().catch(failed)}>Keep both</button>}
      </div>
    </article>
  );
}

export function Conflicts() {
  const entries = saver.value?.unsettled.value ?? [];
  return (
    <div class="conflicts">
      {entries.map((entry) => (
        <Conflict key={entry.op} entry={entry} />
      ))}
      {!entries.length && <p>Nothing is left to settle.</p>}
    </div>
  );
}
