"""Runs the official automatic mask generator; for the interpreter that `setup.sh` makes.

    python benchmarks/official/generate.py FOLDER

FOLDER holds `config.json` (a model configuration of samkit), `weights.pt`, `image.npy` and
`settings.json` (arguments of the generator); `records.json` is written beside them.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)


def build(config: dict) -> Sam:
    """The official classes with the sizes of a samkit configuration."""
    encoder, prompt, decoder = (
        config[name] for name in ("image_encoder", "prompt_encoder", "mask_decoder")
    )
    dim, patch = prompt["embed_dim"], encoder["patch_size"]
    grid = encoder["img_size"] // patch
    sizes = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "out_chans",
             "qkv_bias", "use_rel_pos", "window_size", "global_attn_indexes")  # fmt: skip
    return Sam(
        image_encoder=ImageEncoderViT(
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            **{name: encoder[name] for name in sizes},
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=dim,
            image_embedding_size=(grid, grid),
            input_image_size=(encoder["img_size"], encoder["img_size"]),
            mask_in_chans=prompt["mask_in_chans"],
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=decoder["num_multimask_outputs"],
            transformer=TwoWayTransformer(
                depth=decoder["transformer_depth"],
                embedding_dim=dim,
                mlp_dim=decoder["mlp_dim"],
                num_heads=decoder["num_heads"],
            ),
            transformer_dim=dim,
            iou_head_depth=decoder["iou_head_depth"],
            iou_head_hidden_dim=decoder["iou_head_hidden_dim"],
        ),
        pixel_mean=list(config["pixel_mean"]),
        pixel_std=list(config["pixel_std"]),
    ).eval()


def main() -> None:
    """See above."""
    folder = Path(sys.argv[1])
    sam = build(json.loads((folder / "config.json").read_text()))
    sam.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    settings = json.loads((folder / "settings.json").read_text())
    generator = SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **settings)
    started = time.perf_counter()
    records = generator.generate(np.load(folder / "image.npy"))
    seconds = time.perf_counter() - started
    answer = {"records": records, "seconds": seconds}
    (folder / "records.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
