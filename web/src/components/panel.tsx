import { useState } from "preact/hooks";
import { colourOf, css } from "../colours";
import { update } from "../committed";
import { inTurn } from "../editor";
import { act } from "../actions";
import { toggleLabel } from "../labels";
import { areaOf, type MaskObject } from "../objects";
import {
  allHidden, contrast, draft, draftChanges, failed, image, keyOf, labels, objects, opacity, project,
  suggestions, threshold,
} from "../state";
import { review, skip } from "../navigation";
import { stage } from "../scene";
import { removeObject, select } from "../selection";
import { aboveThreshold, accept, acceptAll, reject } from "../suggestions";
import { RANGES } from "../view-settings";
import { Icon } from "./icons";
import { brief, titled } from "./toolbar";

function Labels() {
  draftChanges.value;
  const [text, setText] = useState("");
  const current = draft.value;
  const has = current?.labels ?? [];
  return (
    <section class="labels" aria-labelledby="labels-title">
      <h2 id="labels-title">Labels</h2>
      <div class="chips">
        {labels.value.slice(0, 24).map((label, i) => (
          <button
            type="button"
            key={label}
            class="label"
            disabled={!current}
            aria-pressed={has.includes(label)}
            onClick={() => toggleLabel(label)}
          >
            {i < 9 && <kbd>{i + 1}</kbd>}
            {label}
          </button>
        ))}
      </div>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void inTurn(() => toggleLabel(text));
          setText("");
          stage.focus();
        }}
      >
        <input
          id="label-text"
          data-testid="label-text"
          maxLength={200}
          value={text}
          placeholder={current ? titled("Label", "label") : "No object at hand"}
          aria-label="Label of the object at hand"
          disabled={!current}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </form>
    </section>
  );
}

const short = (pixels: number): string =>
  pixels >= 1e6 ? `${(pixels / 1e6).toFixed(1)}M` : pixels >= 1e3 ? `${Math.round(pixels / 1e3)}k` : `${pixels}`;

function Row({ object, index }: { object: MaskObject; index: number }) {
  const { instance, mask } = object;
  const active = draft.value?.id === instance.id;
  const name = instance.labels.join(", ") || "no label";
  const suggested = instance.stage === "suggested";
  const score = instance.predicted_iou;
  return (
    <li class={`instance ${active ? "active" : ""} ${instance.hidden ? "off" : ""}`} data-testid="instance" data-id={instance.id}>
      <button type="button" class="pick" aria-pressed={active} onClick={() => void select(instance.id)} title={`${areaOf(mask)} pixels, ${instance.stage}`}>
        <span class={`swatch ${suggested ? "striped" : ""}`} style={{ background: css(colourOf(instance.id)) }} />
        <span class="number">{index + 1}</span>
        <span class={instance.labels.length ? "text" : "text muted"}>{name}</span>
        {suggested && <span class="tag">{score === null ? "?" : score.toFixed(2)}</span>}
        <span class="area muted">{short(areaOf(mask))}</span>
      </button>
      {suggested && (
        <>
          <button type="button" class="quiet" aria-label={`Accept object ${index + 1}`} title={titled("Accept", "accept")} onClick={() => accept(object)}>
            <Icon name="commit" />
          </button>
          <button type="button" class="quiet" aria-label={`Reject object ${index + 1}`} title={titled("Reject", "reject")} onClick={() => reject(object)}>
            <Icon name="cancel" />
          </button>
        </>
      )}
      <button type="button" class="quiet" aria-label={`${instance.hidden ? "Show" : "Hide"} object ${index + 1}`} aria-pressed={!!instance.hidden} title={titled("Hide", "hide")} onClick={() => update(object, { hidden: !instance.hidden })}>
        <Icon name={instance.hidden ? "hidden" : "eye"} />
      </button>
      <button type="button" class="quiet" aria-label={`${instance.locked ? "Unlock" : "Lock"} object ${index + 1}`} aria-pressed={!!instance.locked} title={titled("Lock", "lock")} onClick={() => update(object, { locked: !instance.locked })}>
        <Icon name={instance.locked ? "lock" : "unlock"} />
      </button>
      {!suggested && (
        <button type="button" class="quiet" disabled={!!instance.locked} aria-label={`Delete object ${index + 1}`} title={titled("Delete", "remove")} onClick={() => removeObject(object)}>
          <Icon name="bin" />
        </button>
      )}
    </li>
  );
}

function Objects() {
  return (
    <section class="objects" aria-labelledby="objects-title">
      <h2 id="objects-title">
        Objects <span class="muted">{objects.value.length}</span>
      </h2>
      <ul>
        {objects.value.map((object, i) => (
          <Row key={object.instance.id} object={object} index={i} />
        ))}
      </ul>
      {!objects.value.length && (
        <p class="hint">
          Begin with the most prominent object. Move over the image: the mask under the cursor shows
          itself. Click to take it, right-click to take away from it, <kbd>{keyOf("commit")}</kbd> to
          keep it.
        </p>
      )}
    </section>
  );
}

function Suggestions() {
  if (!suggestions.value.length) return null;
  return (
    <section aria-labelledby="suggestions-title">
      <h2 id="suggestions-title">
        Suggestions <span class="muted">{suggestions.value.length}</span>
      </h2>
      <label class="slider">
        <span>
          from <b>{threshold.value.toFixed(2)}</b>
        </span>
        <input type="range" data-testid="threshold" aria-label="Least predicted IoU to accept" min="0" max="1" step="0.01" value={threshold.value} onInput={(event) => (threshold.value = Number(event.currentTarget.value))} />
      </label>
      <div class="buttons">
        <button type="button" data-testid="accept" onClick={() => accept()}>Accept <kbd>{keyOf("accept")}</kbd></button>
        <button type="button" data-testid="reject" onClick={() => reject()}>Reject <kbd>{keyOf("reject")}</kbd></button>
        <button type="button" data-testid="accept-all" onClick={acceptAll}>All {aboveThreshold().length}</button>
      </div>
    </section>
  );
}

function View() {
  return (
    <section class="view" aria-labelledby="view-title">
      <h2 id="view-title">View</h2>
      <label class="slider">
        Masks
        <input type="range" min={RANGES.opacity[0]} max={RANGES.opacity[2]} step="0.05" value={opacity.value} onInput={(event) => (opacity.value = Number(event.currentTarget.value))} />
      </label>
      <label class="slider">
        Contrast
        <input type="range" min={RANGES.contrast[0]} max={RANGES.contrast[2]} step="0.05" value={contrast.value} onInput={(event) => (contrast.value = Number(event.currentTarget.value))} />
      </label>
      <div class="buttons">
        <button type="button" aria-pressed={allHidden.value} onClick={() => act("hideAll")}>Hide all <kbd>{brief(keyOf("hideAll"))}</kbd></button>
        <button type="button" onClick={() => act("closeUp")}>Close-up <kbd>{brief(keyOf("closeUp"))}</kbd></button>
      </div>
    </section>
  );
}

function Image() {
  const [text, setText] = useState("");
  const opened = image.value;
  const role = project.value?.me.role;
  const reviewing = opened?.state === "submitted" && (role === "reviewer" || role === "admin");
  const send = (work: Promise<unknown>) => void work.then(() => setText(""), failed);
  return (
    <section class="of-image" aria-labelledby="image-title">
      <h2 id="image-title">Image</h2>
      {opened?.review && (
        <p class="hint" data-testid="review">
          {opened.review.decision}: {opened.review.comment || "no comment"}
        </p>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (reviewing || !text.trim()) return;
          stage.focus();
          send(skip(text.trim()));
        }}
      >
        <input id="image-note" data-testid="note" value={text} maxLength={2000} placeholder={reviewing ? "Comment" : "Reason to skip"} aria-label={reviewing ? "Comment of the review" : "Reason to skip the image"} onInput={(event) => setText(event.currentTarget.value)} />
      </form>
      <div class="buttons">
        {reviewing && <button type="button" data-testid="review-accept" onClick={() => send(review("accept", text))}>Accept</button>}
        {reviewing && <button type="button" data-testid="review-reject" onClick={() => send(review("reject", text))}>Reject</button>}
        <button type="button" data-testid="skip-image" disabled={!text.trim()} onClick={() => send(skip(text.trim()))}>Skip</button>
      </div>
    </section>
  );
}

export const Panel = () => (
  <aside class="panel" aria-label="Objects and view">
    <Labels />
    <Suggestions />
    <Objects />
    <View />
    <Image />
  </aside>
);
