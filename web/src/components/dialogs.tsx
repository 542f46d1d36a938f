import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ACTIONS, FIXED, nameOf, rebound, refusal, shown, store, usual, type Action } from "../keys";
import { connect } from "../connection";
import { setToken, tokenIn } from "../token";
import { bindings, dialog, keyOf, saver } from "../state";
import { Conflicts } from "./conflicts";
import { Exports } from "./exports";
import { Routes } from "./routes";

function Dialog({ title, children }: { title: string; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} aria-labelledby="dialog-title" onClose={() => (dialog.value = null)}>
      <header>
        <h1 id="dialog-title">{title}</h1>
        <button type="button" onClick={() => element.current?.close()}>Close</button>
      </header>
      {children}
    </dialog>
  );
}

function choose(next: ReturnType<typeof usual>): void {
  bindings.value = next;
  store(localStorage, next);
}

function Help() {
  const [asking, setAsking] = useState<Action | null>(null);
  const [refused, setRefused] = useState("");
  const ask = (action: Action | null) => {
    setAsking(action);
    setRefused("");
  };
  const take = (event: KeyboardEvent) => {
    if (!asking || ["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") return ask(null);
    const key = nameOf(event);
    const why = refusal(asking, key);
    if (why) return setRefused(why);
    choose(rebound(bindings.value, asking, key));
    ask(null);
  };
  return (
    <div class="help" onKeyDown={take}>
      <p>
        Hover to see a mask; left click takes it, right or Shift-click takes away; drag with the box
        tool. Ctrl-click an object to change it. Space and drag, or the middle button, moves the
        image; the wheel zooms. By keys alone: {keyOf("press")} uses the tool at the cursor; with
        brush, eraser or scribble, move on and press it again for a line from there; taking the
        tool again ({keyOf("brush")}, {keyOf("eraser")}, {keyOf("scribble")}) begins elsewhere.
        Choose a key to change it; Escape leaves it as it is.
      </p>
      <div class="keys">
        {(Object.keys(ACTIONS) as Action[]).map((action) => (
          <div key={action}>
            <span>{ACTIONS[action][0]}</span>
            <button type="button" class="key" aria-label={`Keys of: ${ACTIONS[action][0]}`} onClick={() => ask(action)}>
              {asking === action ? (
                <span role="status">{refused || "press a key"}</span>
              ) : (
                bindings.value[action].map((key) => <kbd key={key}>{shown(key)}</kbd>)
              )}
            </button>
          </div>
        ))}
        {FIXED.map(([what, keys]) => (
          <div key={what}>
            <span>{what}</span>
            <span class="fixed" title="This key cannot be changed">
              {keys.map((key) => <kbd key={key}>{key}</kbd>)}
            </span>
          </div>
        ))}
      </div>
      <div class="buttons">
        <button type="button" onClick={() => choose(usual())}>Usual keys</button>
        <button type="button" data-testid="api" title="The routes by which programs ask the server" onClick={() => (dialog.value = "api")}>API</button>
      </div>
    </div>
  );
}

function Token() {
  const [text, setText] = useState("");
  return (
    <form
      class="token"
      onSubmit={(event) => {
        event.preventDefault();
        const found = tokenIn(text) || text.trim();
        dialog.value = null;
        setToken(found);
        void connect();
      }}
    >
      <p>{saver.value?.trouble.value || "The server cannot be reached."}</p>
      <p>
        What you made is kept on this computer and will be sent. If samkit annotate was started
        again, open the address that it printed, or paste it here.
      </p>
      <input aria-label="The address that samkit annotate printed" placeholder="http://127.0.0.1:…/#token=…" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit" class="primary">Try again</button>
    </form>
  );
}

export function Dialogs() {
  if (dialog.value === "help") return <Dialog title="Keys"><Help /></Dialog>;
  if (dialog.value === "api") return <Dialog title="API"><Routes /></Dialog>;
  if (dialog.value === "token") return <Dialog title="Not connected"><Token /></Dialog>;
  if (dialog.value === "conflict") return <Dialog title="Changes to settle"><Conflicts /></Dialog>;
  if (dialog.value === "export") return <Dialog title="Export"><Exports /></Dialog>;
  return null;
}
