/** The token of the printed address: taken from the fragment, kept for this tab, shared with others. */

const KEY = "samkit-token";
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(KEY);
const listeners = new Set<() => void>();

export const token = (): string => sessionStorage.getItem(KEY) ?? "";

/** Keeps a new token; tabs that were open before the server restarted get it, too. */
export function setToken(value: string): void {
  if (!value || value === token()) return;
  sessionStorage.setItem(KEY, value);
  channel?.postMessage(value);
  for (const listener of listeners) listener();
}

export function onToken(listener: () => void): void {
  listeners.add(listener);
}

/** The token in an address, or in its fragment alone. */
export const tokenIn = (address: string): string =>
  new URLSearchParams(address.slice(address.indexOf("#") + 1)).get("token") ?? "";

function fromAddress(): void {
  const found = tokenIn(location.hash);
  if (!found) return;
  setToken(found);
  history.replaceState(null, "", location.pathname + location.search);
}

/** Reads the address now and whenever its fragment changes. */
export function watchAddress(): void {
  fromAddress();
  addEventListener("hashchange", fromAddress);
  channel?.addEventListener("message", (event: MessageEvent<string>) => {
    if (event.data === token()) return;
    sessionStorage.setItem(KEY, event.data);
    for (const listener of listeners) listener();
  });
}
