import { act } from "../actions";
import { canUndo } from "../editor";
import { ACTIONS, type Action } from "../keys";
import { brushSize, corners, draft, draftChanges, keyOf, tool, type ToolName } from "../state";
import { Icon, type IconName } from "./icons";

const TOOLS: readonly ToolName[] = ["point", "box", "scribble", "brush", "eraser", "polygon"];

const BRIEF = { "Ctrl+": "^", "Shift+": "⇧", Enter: "↵", Escape: "Esc", Delete: "Del" };

/** A key's name in the little room under an icon. */
export const brief = (key: string): string =>
  Object.entries(BRIEF)
    .reduce((text, [long, short]) => text.replace(long, short), key)
    .toUpperCase();

/** A text with the keys of what it speaks of. */
export function titled(text: string, ...actions: Action[]): string {
  const keys = actions.map(keyOf).filter(Boolean);
  return keys.length ? `${text} (${keys.join(" and ")})` : text;
}

/** A button that the mouse presses leaves the keys where they were. */
export function keepFocus(event: MouseEvent): void {
  if (!(event.target instanceof HTMLInputElement)) event.preventDefault();
}

interface Props {
  action: Action;
  icon: IconName;
  testid?: string;
  pressed?: boolean;
  disabled?: boolean;
}

export function ActionButton({ action, icon, testid, pressed, disabled }: Props) {
  const what = titled(ACTIONS[action][0], action);
  return (
    <button
      type="button"
      class="tool"
      data-testid={testid}
      aria-pressed={pressed}
      aria-label={what}
      title={what}
      disabled={disabled ?? false}
      onClick={() => act(action)}
    >
      <Icon name={icon} />
      <kbd>{brief(keyOf(action))}</kbd>
    </button>
  );
}

export function Toolbar() {
  draftChanges.value; // the history has no signals of its own
  const current = draft.value;
  const painting = tool.value === "brush" || tool.value === "eraser";
  return (
    <nav class="toolbar" aria-label="Tools" onMouseDown={keepFocus}>
      <div class="group" role="group" aria-label="Tools">
        {TOOLS.map((name) => (
          <ActionButton
            key={name}
            action={name}
            icon={name}
            testid={`tool-${name}`}
            pressed={tool.value === name}
          />
        ))}
      </div>
      <label class={`brush-size ${painting ? "" : "faint"}`} title={titled("Size of the brush", "smaller", "larger")}>
        <input
          type="number"
          min="1"
          max="500"
          aria-label="Size of the brush in pixels"
          data-testid="brush-size"
          value={brushSize.value}
          onChange={(event) => {
            const size = Math.round(Number(event.currentTarget.value));
            brushSize.value = Math.min(500, Math.max(1, size || 1));
          }}
        />
        <span>px</span>
      </label>
      <div class="group" role="group" aria-label="Changes">
        <ActionButton action="undo" icon="undo" testid="undo" disabled={!corners.value && !canUndo()} />
        <ActionButton action="redo" icon="redo" testid="redo" disabled={!current?.history.canRedo} />
      </div>
      <div class="group" role="group" aria-label="Object">
        <ActionButton action="commit" icon="commit" testid="commit" disabled={!current} />
        <ActionButton action="cancel" icon="cancel" testid="cancel" disabled={!current} />
        <ActionButton action="remove" icon="bin" testid="remove" disabled={!current} />
      </div>
      <div class="group last" role="group" aria-label="View">
        <ActionButton action="fit" icon="fit" testid="fit" />
        <ActionButton action="help" icon="help" testid="help" />
      </div>
    </nav>
  );
}
