/** How strongly masks and the image are shown; kept in this browser. */

export interface ViewSettings {
  /** Of the masks. */
  opacity: number;
  /** Of the image; 1 leaves it as it is. */
  contrast: number;
}

/** Least, usual and greatest values. */
export const RANGES = { opacity: [0.1, 0.9, 1], contrast: [0.5, 1, 2.5] } as const;

const STORED = "samkit-view";

export function loadView(storage: Pick<Storage, "getItem">): ViewSettings {
  let stored: Record<string, unknown> = {};
  try {
    stored = (JSON.parse(storage.getItem(STORED) ?? "{}") ?? {}) as Record<string, unknown>;
  } catch {
    // Damaged settings are the usual ones.
  }
  const value = (name: keyof ViewSettings): number => {
    const [least, usual, most] = RANGES[name];
    const given = stored[name];
    return typeof given === "number" && given >= least && given <= most ? given : usual;
  };
  return { opacity: value("opacity"), contrast: value("contrast") };
}

export function storeView(storage: Pick<Storage, "setItem">, settings: ViewSettings): void {
  storage.setItem(STORED, JSON.stringify(settings));
}
