/** The decoder's two graphs in onnxruntime: one run for each image, one for each prompt. */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import { EMPTY, type MaskCrop, type Size } from "../masks/crop";
import { maskPrompt } from "../masks/prompt";
import { Upscaler } from "../masks/upsample";
import type { Prompt } from "../types";
import type { Constants } from "./constants";
import type { Embedding } from "./embedding";
import { ambiguous, pointInputs, type Frame } from "./prompts";

type Ort = typeof import("onnxruntime-web");

/** One answer to a prompt. */
export interface Candidate {
  readonly iou: number;
  /** n x n low-res logits. */
  readonly logits: Float32Array;
  /** The mask at the size of previews, in pixels of the preview. */
  readonly preview: MaskCrop;
}

export interface Decoded {
  /** Best first. */
  readonly candidates: Candidate[];
  readonly milliseconds: number;
}

const LONGEST_PREVIEW = 1024;

/** The size at which masks of a part of an image are drawn before they are committed. */
export function previewSize(width: number, height: number): Size {
  const scale = Math.min(1, LONGEST_PREVIEW / Math.max(width, height));
  return {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
}

interface Prepared {
  readonly frame: Frame;
  readonly tensors: Record<string, Tensor>;
  readonly preview: Upscaler;
}

export class Model {
  private image: Prepared | null = null;
  private readonly noMask: Tensor;

  constructor(
    private readonly ort: Ort,
    private readonly imageGraph: InferenceSession,
    private readonly decoder: InferenceSession,
    private readonly constants: Constants,
  ) {
    this.noMask = this.maskInput(new Float32Array(constants.low_res ** 2));
  }

  /** Takes an embedding and computes all that no prompt changes. */
  async setImage({ header, tensors }: Embedding): Promise<Frame> {
    const [x0, y0, x1, y1] = header.crop;
    const [height, width] = header.input_size;
    const frame: Frame = {
      crop: { x: x0, y: y0, w: x1 - x0, h: y1 - y0 },
      input: { width, height },
    };
    const feeds: Record<string, Tensor> = {};
    for (const name of this.imageGraph.inputNames) {
      const tensor = tensors.get(name);
      if (!tensor) throw new Error(`The embedding has no tensor ${name}.`);
      const shape = tensor.shape.length === 3 ? [1, ...tensor.shape] : [...tensor.shape];
      feeds[name] = new this.ort.Tensor("float32", tensor.data, shape);
    }
    const results = await this.imageGraph.run(feeds);
    this.image = {
      frame,
      tensors: { ...feeds, ...results },
      preview: this.upscaler(frame, previewSize(frame.crop.w, frame.crop.h)),
    };
    return frame;
  }

  /** All candidates for prompts, or the best alone. */
  async decode(
    prompts: readonly Prompt[],
    mask: Float32Array | null,
    bestOnly: boolean,
  ): Promise<Decoded> {
    const image = this.prepared();
    const start = performance.now();
    const several = ambiguous(prompts, mask !== null);
    const alone = bestOnly && several;
    const { logits, iou } = await this.run(image, prompts, mask, alone);
    const milliseconds = performance.now() - start;
    const tokens = several ? this.constants.tokens.multi : [this.constants.tokens.single];
    const ranked = [...tokens].sort((a, b) => iou[b]! - iou[a]!);
    const candidates = (bestOnly ? ranked.slice(0, 1) : ranked).map((token) => {
      const own = alone ? logits : this.ofToken(logits, token);
      const preview = image.preview.mask(own, this.constants.mask_threshold);
      return { iou: iou[token]!, logits: own, preview };
    });
    return { candidates, milliseconds };
  }

  /** The mask of low-res logits, in pixels of the whole image. frame: what was encoded for them. */
  full(logits: Float32Array, frame: Frame): MaskCrop {
    const { crop } = frame;
    const upscaler = this.upscaler(frame, { width: crop.w, height: crop.h });
    const mask = upscaler.mask(logits, this.constants.mask_threshold);
    return mask === EMPTY ? mask : { ...mask, x: mask.x + crop.x, y: mask.y + crop.y };
  }

  /** A mask of the image as logits for a mask prompt. */
  maskPrompt(mask: MaskCrop): Float32Array {
    const { crop, input } = this.prepared().frame;
    const { low_res: n, img_size: side, mask_prompt: rule } = this.constants;
    const inCrop = { ...mask, x: mask.x - crop.x, y: mask.y - crop.y };
    return maskPrompt(inCrop, { width: crop.w, height: crop.h }, n, side, input, rule);
  }

  /** bestOnly: the logits of the best candidate alone. */
  private async run(
    image: Prepared, prompts: readonly Prompt[], mask: Float32Array | null, bestOnly: boolean,
  ) {
    const { coords, labels } = pointInputs(prompts, image.frame, this.constants.labels);
    const { Tensor } = this.ort;
    const inputs: Record<string, Tensor> = {
      ...image.tensors,
      point_coords: new Tensor("float32", coords, [1, labels.length, 2]),
      point_labels: new Tensor("float32", labels, [1, labels.length]),
      mask_input: mask ? this.maskInput(mask) : this.noMask,
      has_mask_input: new Tensor("float32", Float32Array.of(mask ? 1 : 0), [1]),
      best_only: new Tensor("float32", Float32Array.of(bestOnly ? 1 : 0), [1]),
    };
    const feeds = Object.fromEntries(this.decoder.inputNames.map((name) => [name, inputs[name]!]));
    const results = await this.decoder.run(feeds);
    return {
      logits: results.low_res_logits!.data as Float32Array,
      iou: results.iou!.data as Float32Array,
    };
  }

  private maskInput(logits: Float32Array): Tensor {
    const n = this.constants.low_res;
    return new this.ort.Tensor("float32", logits, [1, 1, n, n]);
  }

  private ofToken(logits: Float32Array, token: number): Float32Array {
    const cells = this.constants.low_res ** 2;
    return logits.slice(token * cells, (token + 1) * cells);
  }

  private upscaler(frame: Frame, size: Size): Upscaler {
    const { low_res: low, img_size: side } = this.constants;
    return new Upscaler(low, side, frame.input, size);
  }

  private prepared(): Prepared {
    if (!this.image) throw new Error("No image is set.");
    return this.image;
  }
}
