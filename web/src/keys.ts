/** Keys to actions. Every action can be given other keys; the choice is kept in this browser. */

/** Actions in the order of the help, with what they do and their usual keys. */
export const ACTIONS = {
  commit: ["Commit the object and begin the next", ["Enter", "n"]],
  cancel: ["Cancel what is not committed", ["Escape"]],
  candidate: ["Next candidate: whole, part, sub-part", ["Tab"]],
  candidateBack: ["Previous candidate", ["Shift+Tab"]],
  point: ["Point tool", ["p"]],
  box: ["Box tool", ["r"]],
  polygon: ["Polygon tool", ["g"]],
  brush: ["Brush", ["b"]],
  eraser: ["Eraser", ["e"]],
  scribble: ["Scribble tool", ["s"]],
  smaller: ["Smaller brush", ["["]],
  larger: ["Larger brush", ["]"]],
  undo: ["Undo within the object; without one, bring back what was cancelled or deleted", ["Ctrl+z"]],
  redo: ["Redo, within the object", ["Ctrl+Shift+z", "Ctrl+y"]],
  remove: ["Delete the object", ["Delete", "Backspace"]],
  nextObject: ["Select the next object", ["j"]],
  previousObject: ["Select the previous object", ["k"]],
  hide: ["Hide or show the object", ["h"]],
  hideAll: ["Hide or show all objects", ["Shift+h"]],
  lock: ["Lock or unlock the object", ["l"]],
  label: ["Type a label", ["t"]],
  fit: ["Fit the image", ["0"]],
  zoomIn: ["Zoom in", ["+", "="]],
  zoomOut: ["Zoom out", ["-"]],
  closeUp: ["Encode what is in view anew, for small objects", ["z"]],
  previousImage: ["Previous image", ["a"]],
  nextImage: ["Next image", ["d"]],
  submit: ["Submit the image", ["Ctrl+Enter"]],
  skip: ["Skip the image", ["Ctrl+Backspace"]],
  accept: ["Accept the suggestion", ["y"]],
  reject: ["Reject the suggestion", ["x"]],
  acceptAll: ["Accept all suggestions above the slider", ["Shift+y"]],
  left: ["Move the cursor left (Shift: far)", ["ArrowLeft", "Shift+ArrowLeft"]],
  right: ["Move the cursor right", ["ArrowRight", "Shift+ArrowRight"]],
  up: ["Move the cursor up", ["ArrowUp", "Shift+ArrowUp"]],
  down: ["Move the cursor down", ["ArrowDown", "Shift+ArrowDown"]],
  press: ["Use the tool at the cursor; brush, eraser, scribble: elsewhere again for a line", ["f"]],
  pressBackground: ["The same for the background", ["Shift+f"]],
  pick: ["Select the object under the cursor", ["Shift+Enter"]],
  help: ["This help", ["?"]],
} as const satisfies Record<string, readonly [string, readonly string[]]>;

/** What has keys that cannot be changed. */
export const FIXED: readonly (readonly [string, readonly string[]])[] = [
  ["Give the object a label, or take it away", ["1–9"]],
  ["Hold and drag: move the image", ["Space"]],
  ["Hold: brush and eraser change places", ["Alt"]],
  ["Take back the last corner of a polygon", ["Backspace"]],
];

export type Action = keyof typeof ACTIONS;
export type Bindings = Record<Action, string[]>;

export const usual = (): Bindings =>
  Object.fromEntries(Object.entries(ACTIONS).map(([name, [, keys]]) => [name, [...keys]])) as Bindings;

interface KeyPress {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
}

/** The name of a key with what is held: "Ctrl+Shift+z". A sign that needs Shift is named alone. */
export function nameOf(press: KeyPress): string {
  const { key } = press;
  const letter = /^[a-z]$/i.test(key);
  const sign = key.length === 1 && !letter && key !== " ";
  const name = letter ? key.toLowerCase() : key === " " ? "Space" : key;
  return [
    press.ctrlKey || press.metaKey ? "Ctrl+" : "",
    press.altKey ? "Alt+" : "",
    press.shiftKey && !sign ? "Shift+" : "",
    name,
  ].join("");
}

export class Keys {
  private readonly actions = new Map<string, Action>();

  constructor(readonly bindings: Bindings) {
    for (const [action, keys] of Object.entries(bindings)) {
      for (const key of keys) this.actions.set(key, action as Action);
    }
  }

  actionOf(press: KeyPress): Action | undefined {
    return this.actions.get(nameOf(press));
  }
}

/** Why a key cannot be given to an action; empty where it can. */
export function refusal(action: Action, key: string): string {
  if (/^[1-9]$/.test(key)) return `${key} gives a label; choose another key.`;
  if (key === "Space") return "Space moves the image; choose another key.";
  if (key.endsWith("Tab") && !action.startsWith("candidate")) {
    return "Tab goes through the candidates and the page; choose another key.";
  }
  return "";
}

/** A key's name as texts have it: letters are large, as they are on keyboards. */
export const shown = (key: string): string => key.replace(/(^|\+)[a-z]$/, (end) => end.toUpperCase());

/** New bindings in which `key` does `action` and nothing else. */
export function rebound(bindings: Bindings, action: Action, key: string): Bindings {
  const result = {} as Bindings;
  for (const name of Object.keys(bindings) as Action[]) {
    result[name] = name === action ? [key] : bindings[name].filter((k) => k !== key);
  }
  return result;
}

const STORED = "samkit-keys";

/** Bindings of this browser; actions that it does not name have their usual keys. */
export function load(storage: Pick<Storage, "getItem">): Bindings {
  const bindings = usual();
  let stored: unknown;
  try {
    stored = JSON.parse(storage.getItem(STORED) ?? "{}");
  } catch {
    return bindings;
  }
  for (const [name, keys] of Object.entries(stored ?? {})) {
    if (!(name in bindings) || !Array.isArray(keys)) continue;
    const action = name as Action;
    bindings[action] = keys.map(String).filter((key) => !refusal(action, key));
  }
  return bindings;
}

export function store(storage: Pick<Storage, "setItem">, bindings: Bindings): void {
  storage.setItem(STORED, JSON.stringify(bindings));
}
