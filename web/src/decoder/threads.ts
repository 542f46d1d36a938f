/** How many threads the decoder has; in the page and in its worker alike. */

/** More do not pay: what a prompt needs is over in some tens of milliseconds. */
const MOST = 4;

/** One where the page is not isolated from others: then browsers share no memory between threads. */
export function threads(): number {
  const cores = navigator.hardwareConcurrency || 1;
  return self.crossOriginIsolated ? Math.min(cores, MOST) : 1;
}
