/** Whose the open image is: it is leased while it is open, and closed to changes where it is not. */

import * as api from "./api";
import { commit } from "./editor";
import { holder, say } from "./state";

const ASK_AGAIN = 10; // seconds between two looks at an image that is somebody else's

let wanted: string | null = null;
let lease: string | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Called when an image that was somebody else's can be changed: what they did must be shown. */
let whenFree: (image: string) => void = () => {};

export function onFree(call: typeof whenFree): void {
  whenFree = call;
}

/**
 * Takes an image that is about to be opened; the one before is given back. Where the server does
 * not answer the image can be changed: leases only keep people apart, saves have their versions.
 */
export async function takeLease(image: string): Promise<void> {
  if (image !== wanted) {
    leaveLease();
    wanted = image;
    holder.value = null;
  }
  await ask(image, false);
}

/** Takes the open image from whoever works on it. */
export async function takeOver(): Promise<void> {
  if (wanted) await ask(wanted, true);
}

/** Somebody took an image over or gave it back; the open one is looked at again. */
export function leaseChanged(image: string): void {
  if (image === wanted) void ask(image, false);
}

async function ask(image: string, over: boolean): Promise<void> {
  clearTimeout(timer);
  let seconds = ASK_AGAIN;
  try {
    const answer = await api.takeLease(image, over);
    if (image !== wanted) {
      if (answer.lease) giveBack(answer.lease.id);
      return;
    }
    if (answer.lease) seconds = Math.max(5, answer.lease.expires_in / 3);
    await become(image, answer.lease?.id ?? null, answer.holder);
  } catch {
    // Asked again soon; the save state tells of a lost server.
  }
  if (image !== wanted) return;
  clearTimeout(timer);
  timer = setTimeout(() => void ask(image, false), seconds * 1000);
}

async function become(image: string, own: string | null, other: string | null): Promise<void> {
  const before = holder.value;
  if (other !== null && lease !== null) {
    await commit(); // what is at hand is saved, and judged by its version
    say(`${other} took this image over.`, true);
  }
  lease = own;
  holder.value = other;
  if (other === null && before !== null) whenFree(image);
}

/** Gives back what is held. */
export function leaveLease(): void {
  clearTimeout(timer);
  if (lease) giveBack(lease);
  lease = null;
  wanted = null;
}

/** The page is closed or put aside: others can have the image at once; it is asked for again later. */
export function letGo(): void {
  if (lease) giveBack(lease);
  lease = null;
}

const giveBack = (id: string): void =>
  void api.releaseLease(id).catch(() => undefined); // it runs out by itself
