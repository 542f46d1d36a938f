/** The decoder as the page sees it: promises instead of messages. */

import type { MaskCrop, Size } from "../masks/crop";
import type { Rle } from "../masks/rle";
import type { Prompt } from "../types";
import type { Constants } from "./constants";
import type { Decoded } from "./model";
import type { Frame } from "./prompts";
import type { Request } from "./worker";

export { threads } from "./threads";

export class DecoderClient {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<
    number,
    { resolve: (value: never) => void; reject: (error: Error) => void }
  >();
  private next = 0;

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<{ id: number; value?: never; error?: string }>) => {
      const call = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error === undefined) call?.resolve(data.value as never);
      else call?.reject(new Error(data.error));
    };
    this.worker.onerror = (event) => {
      for (const call of this.waiting.values()) call.reject(new Error(event.message || "The decoder could not be started."));
      this.waiting.clear();
    };
  }

  load(imageGraph: ArrayBuffer, decoder: ArrayBuffer, constants: Constants): Promise<null> {
    const request: Request = { kind: "load", imageGraph, decoder, constants };
    return this.call(request, [imageGraph, decoder]);
  }

  /** The buffer stays usable: it is copied. */
  setImage(embedding: ArrayBuffer, model: string): Promise<Frame> {
    return this.call({ kind: "image", embedding, model });
  }

  decode(prompts: Prompt[], mask: Float32Array | null, bestOnly: boolean): Promise<Decoded> {
    return this.call({ kind: "decode", prompts, mask, bestOnly });
  }

  full(logits: Float32Array, frame: Frame): Promise<MaskCrop> {
    return this.call({ kind: "full", logits, frame });
  }

  maskPrompt(mask: MaskCrop): Promise<Float32Array> {
    return this.call({ kind: "maskPrompt", mask });
  }

  /** Run lengths of a mask; those of a large one take too long beside a stroke. */
  encode(mask: MaskCrop, { width, height }: Size): Promise<Rle> {
    return this.call({ kind: "encode", mask, size: { width, height } });
  }

  private call<T>(request: Request, transfer: Transferable[] = []): Promise<T> {
    const id = this.next++;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, request }, transfer);
    });
  }
}

/** Runs the newest of many requests: one is under way, one waits, older ones are dropped. */
export class Latest {
  private busy = false;
  private pending: (() => Promise<void>) | null = null;

  /** Starts the work now, or when what is under way has ended, unless newer work comes. */
  run(work: () => Promise<void>): void {
    this.pending = work;
    if (!this.busy) void this.drain();
  }

  /** Forgets what waits. */
  clear(): void {
    this.pending = null;
  }

  private async drain(): Promise<void> {
    this.busy = true;
    try {
      while (this.pending) {
        const work = this.pending;
        this.pending = null;
        await work();
      }
    } finally {
      this.busy = false;
    }
  }
}
