import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { namesByArea } from "../candidates";
import { threads } from "../decoder/client";
import { hooks } from "../hooks";
import { attach } from "../input";
import { takeOver } from "../leases";
import { openNextFree, reopen } from "../navigation";
import { areaOf } from "../objects";
import { stage } from "../scene";
import {
  allHidden, busy, contrast, decoderLoaded, draft, draftChanges, encoding, failed, frame, holder,
  hover, image, keyOf, message, opacity, project, tool,
} from "../state";
import { chooseAt } from "../editor";
import { keepFocus, titled } from "./toolbar";

const percent = (value: number): string => `${Math.round(100 * Math.min(1, Math.max(0, value)))}%`;

/** What one prompt may have meant, best first. */
function Candidates() {
  draftChanges.value;
  const current = draft.value;
  if (!current || current.state.mask || current.state.candidates.length < 2) return null;
  const names = namesByArea(current.state.candidates.map(({ preview }) => areaOf(preview)));
  return (
    <div class="candidates" role="group" aria-label="Candidates" onMouseDown={keepFocus}>
      {current.state.candidates.map(({ iou }, i) => (
        <button
          type="button"
          key={i}
          data-testid="candidate"
          aria-pressed={i === current.state.chosen}
          title={titled("Takes this one; a key goes on to the next", "candidate")}
          onClick={() => chooseAt(i)}
        >
          <span class="bar" aria-hidden="true">
            <span style={{ width: percent(iou) }} />
          </span>
          {names[i]} <span class="muted">{percent(iou)}</span>
        </button>
      ))}
    </div>
  );
}

/** Somebody else works on the image: it can be looked at. */
function Held() {
  if (holder.value === null) return null;
  return (
    <div class="held" role="status" data-testid="held">
      <span>
        Being worked on by <b>{holder.value}</b>. You can look at it, but not change it.
      </span>
      <button type="button" data-testid="next-free" onClick={() => void openNextFree().catch(failed)}>
        Next free image
      </button>
      <button type="button" data-testid="take-over" onClick={() => void takeOver()}>Take over</button>
    </div>
  );
}

/** Why prompts are not answered yet, or not at all. */
function NotEncoded() {
  if (project.value && !project.value.model) return <span class="chip warn">no model</span>;
  if (encoding.state.value === "failed")
    return (
      <>
        <span class="chip warn" role="alert" data-testid="not-encoded">not encoded</span>
        <button type="button" data-testid="encode-again" title="Fetches the image once more" onClick={() => void reopen().catch(failed)}>
          Try again
        </button>
      </>
    );
  return (
    <span class="chip wait" role="status">
      {decoderLoaded.value ? "encoding …" : "preparing the decoder …"}
    </span>
  );
}

function Status() {
  draftChanges.value;
  const [zoom, setZoom] = useState(100);
  useEffect(() => {
    stage.onView = () => setZoom(Math.round(stage.view.scale * 100));
    return () => void (stage.onView = null);
  }, []);
  const current = draft.value;
  const shown = current?.candidate ?? (current && !current.empty ? null : hover.value);
  const opened = image.value;
  const encoded = frame.value;
  const closeUp = encoded && opened && encoded.crop.w * encoded.crop.h < opened.width * opened.height;
  const single = threads() === 1;
  return (
    <div class="status">
      <span class="chip" title="How good the model thinks the mask is">
        IoU <b data-testid="hover-score">{shown ? shown.iou.toFixed(2) : "–"}</b>
      </span>
      {encoded ? (
        <span class="chip good" data-testid="ready">
          {closeUp ? "close-up" : "ready"}
        </span>
      ) : (
        <NotEncoded />
      )}
      {busy.value && <span class="chip wait">…</span>}
      {single && (
        <span class="chip warn" data-testid="one-thread" title="This browser gives the page a single thread; masks come slower.">
          one thread
        </span>
      )}
      <span class="grow" />
      {opened && <span class="muted">{opened.width} × {opened.height}</span>}
      <span class="muted">{zoom}%</span>
    </div>
  );
}

/** The name of the stage, with the keys that it is used by. */
function canvasName(): string {
  const moves = (["left", "right", "up", "down"] as const).map(keyOf).join(", ");
  return `The image. ${moves} move the cursor, ${keyOf("press")} uses the tool there, ${keyOf("help")} lists all keys.`;
}

export function StageView() {
  const layers = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = layers.current!;
    const unmount = stage.mount(element);
    const detach = attach(element);
    hooks.threads = threads();
    hooks.toWindow = (x, y) => {
      const box = element.getBoundingClientRect();
      const at = stage.view.toScreen({ x, y });
      return { x: at.x + box.left, y: at.y + box.top };
    };
    hooks.toImage = (x, y) => {
      const box = element.getBoundingClientRect();
      return stage.view.toImage(x - box.left, y - box.top);
    };
    return () => {
      detach();
      unmount();
    };
  }, []);
  useSignalEffect(() => {
    const masks = stage.canvas("masks");
    const picture = stage.canvas("image");
    if (masks) masks.style.opacity = allHidden.value ? "0" : `${opacity.value}`;
    if (picture) picture.style.filter = contrast.value === 1 ? "" : `contrast(${contrast.value})`;
  });
  const said = message.value;
  return (
    <main class="stage">
      <div
        ref={layers}
        class={`layers tool-is-${tool.value}`}
        data-testid="canvas"
        tabIndex={0}
        role="application"
        aria-label={canvasName()}
      />
      <Candidates />
      <Held />
      {said && (
        <div class={said.bad ? "toast bad" : "toast"} role={said.bad ? "alert" : "status"}>
          {said.text}
        </div>
      )}
      <Status />
    </main>
  );
}
