"""Every number and rule that goes with the graphs, for whoever runs them without samkit."""

from typing import TYPE_CHECKING, Any

from samkit.checkpoints.identity import model_id
from samkit.inference import mask_prompts
from samkit.inference.embeddings import embedding_shapes
from samkit.inference.settings import AutomaticMaskSettings
from samkit.modeling import Sam
from samkit.modeling.mask_decoder import MULTI, SINGLE
from samkit.modeling.prompt_encoder import (
    LABEL_BACKGROUND,
    LABEL_BOTTOM_RIGHT,
    LABEL_FOREGROUND,
    LABEL_PADDING,
    LABEL_TOP_LEFT,
)

if TYPE_CHECKING:
    from onnx import ModelProto

FORMAT, VERSION = "samkit-decoder", 2
EMBEDDING = "image_embeddings"
"""The name under which an `ImageEmbedding`'s features go into graphs and over the network."""
PROMPT_NAMES = ("point_coords", "point_labels", "mask_input", "has_mask_input", "best_only")
OUTPUT_NAMES = ("low_res_logits", "iou")

RULES = {
    "resize": (
        "scale = img_size / max(H, W); the image becomes max(1, floor(H * scale + 0.5)) by "
        "max(1, floor(W * scale + 0.5)) pixels (bilinear, averaging where it shrinks), (pixel - "
        "mean) / std, then zeros on the right and at the bottom up to img_size squared"
    ),
    "points": (
        "x of the image times resized width / W, y times resized height / H, float32; the graph "
        "itself adds 0.5"
    ),
    "boxes": "two points, of the upper left and the lower right corner, after all other points",
    "padding": (
        "where there are points and no box, one more point (0, 0) of the label padding comes "
        "last; with a box there is none; with a mask alone there is no point at all (N = 0)"
    ),
    "mask_input": (
        "low-res logits of one token of an earlier answer and has_mask_input 1, or anything "
        "finite and has_mask_input 0"
    ),
    "tokens": (
        "one prompt is ambiguous and answered by the tokens in multi, several prompts by the "
        "token single; a point, a box and a mask count as one prompt each"
    ),
    "best_only": (
        "0 for the logits of all tokens; 1 for those alone of the token in multi with the highest "
        "predicted IoU, which is quicker; iou always has all tokens"
    ),
    "masks": (
        "logits to img_size squared (bilinear, half-pixel centres), cut to the resized size, to "
        "H by W in the same way; a pixel is in the mask where its logit > mask_threshold"
    ),
    "stability": (
        "pixels above mask_threshold + offset over pixels above mask_threshold - offset, 0 where "
        "there are none"
    ),
}


def embedding_names(sam: Sam) -> list[str]:
    """The names of an embedding's tensors as graphs have them."""
    return [EMBEDDING if name == "features" else name for name in embedding_shapes(sam)]


def constants_of(sam: Sam, image: "ModelProto", decoder: "ModelProto") -> dict[str, Any]:
    """What constants.json says of a model and its two graphs, plain JSON values."""
    tokens = range(sam.mask_decoder.num_mask_tokens)
    shapes = embedding_shapes(sam)
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": {"id": model_id(sam), "variant": sam.config.variant},
        "img_size": sam.image_encoder.img_size,
        "stride": sam.config.stride,
        "pixel_mean": sam.config.pixel_mean,
        "pixel_std": sam.config.pixel_std,
        "embedding": {EMBEDDING: shapes.pop("features"), **shapes},
        "low_res": sam.prompt_encoder.mask_input_size[0],
        "mask_threshold": sam.mask_threshold,
        "stability_offset": AutomaticMaskSettings.stability_score_offset,
        "labels": {
            "foreground": LABEL_FOREGROUND,
            "background": LABEL_BACKGROUND,
            "box_upper_left": LABEL_TOP_LEFT,
            "box_lower_right": LABEL_BOTTOM_RIGHT,
            "padding": LABEL_PADDING,
        },
        "tokens": {"single": tokens[SINGLE][0], "multi": list(tokens[MULTI])},
        "mask_prompt": {
            "levels": mask_prompts.USUAL,
            "sigma": mask_prompts.SIGMA,
            "radius": mask_prompts.RADIUS,
        },
        "graphs": {
            "image": {
                "file": "image.onnx",
                "inputs": [value.name for value in image.graph.input],
                "outputs": [value.name for value in image.graph.output],
            },
            "decoder": {
                "file": "decoder.onnx",
                "inputs": [value.name for value in decoder.graph.input],
                "prompts": PROMPT_NAMES,
                "outputs": OUTPUT_NAMES,
            },
        },
        "rules": RULES,
    }
