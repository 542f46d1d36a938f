"""Every number of a promptable training run, as frozen dataclasses."""

from dataclasses import dataclass, replace

PAPER_ROUNDS = (0.0,) * 8 + (1.0,)
"""Always eight corrective rounds (SAM, appendix A, "Training algorithm")."""


@dataclass(frozen=True)
class View:
    """How a photograph is shown to the model."""

    kind: str
    """whole: all of it, its longer side scaled to the input size. crop: a square part at a random
    scale. jitter: large-scale jitter (SAM, appendix B)."""
    masks: int
    """At most so many masks are prompted."""
    side: float = 1.0
    """Side of a crop as a share of the model's input size; a ViT takes all of it in any case."""


@dataclass(frozen=True)
class Recipe:
    """Promptable training (SAM section 3 and appendix A); the defaults are the paper's."""

    model: str = "vit_h"
    """The variant that is built where no checkpoint is given to start from."""
    steps: int = 90_000
    """Optimiser steps in all."""
    batch: int = 256
    """Images of one optimiser step, over all processes."""
    at_once: int = 1
    """Images that a process encodes together; more are accumulated."""
    views: tuple[View, ...] = (View("whole", 64),)
    """Image k of a batch is shown as view k, beginning again after the last."""

    lr: float = 8e-4
    warmup: int = 250
    """Steps over which the learning rate rises linearly."""
    drops: tuple[float, ...] = (60_000 / 90_000, 86_666 / 90_000)
    """At these shares of the run the rate falls to a tenth."""
    cooldown: float = 0.0
    """Last share of the run, over which the rate falls linearly to zero. Constant before, so that a
    run can be made longer from any state that was saved until then."""
    layer_decay: float = 0.8
    """Each block of a ViT learns at this share of the rate of the next one."""
    trunk_lr_scale: float = 1.0
    """The pretrained trunk of a pyramid encoder learns at this share of the rate."""
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.0
    """Decay of the averaged weights, which are what is kept then; 0 keeps the last ones."""
    autocast: str = "none"
    """bfloat16: matrix products in bfloat16, everything else in float32."""
    drop_path: float = 0.4
    dropout: float = 0.1
    """Inside the decoder's transformer, while training."""
    decoder_layers: int = 2
    """Layers of the decoder's transformer in a model that is built anew."""

    box_chance: float = 0.5
    """Share of the masks that are first prompted by a box rather than by a point."""
    exact_boxes: float = 0.0
    """Share of these boxes that are the masks' own; the others have the paper's noise."""
    inner_chance: float = 0.0
    """Share of first points that are drawn well inside the mask rather than anywhere in it."""
    rounds: tuple[float, ...] = PAPER_ROUNDS
    """Chances of 0, 1, 2 … corrective rounds after the first prompt."""
    mask_only_rounds: int = 2
    """Rounds that give the previous mask without a new point: one last, the others in between."""
    errors: str = "uniform"
    """Where corrective points are drawn from the error region: uniform, or likelier well `inside`
    of it."""

    pixel_loss: str = "focal"
    """focal (Lin et al., 2017), or normalised_focal (see docs/adr/0004)."""
    pixel: float = 20.0
    dice: float = 1.0
    iou: float = 1.0
    others: float = 0.0
    """Share of the mean loss of the three candidates, beside the best one's."""
    others_box: float = 0.0
    """The same where the prompt is a box, which is seldom ambiguous."""
    single: float = 0.0
    """Weight of the fourth token where the three answer."""

    whole_scale: tuple[float, float] = (1.0, 1.0)
    """Range of a whole photograph's longer side, in input sizes."""
    crop_scale: tuple[float, float] = (0.625, 1.75)
    """Range of the photograph's longer side in crops, in input sizes, log-uniform."""
    jitter_scale: tuple[float, float] = (0.1, 2.0)
    """Range of its longer side in large-scale jitter, in input sizes."""
    vary_colours: bool = False
    mirror: bool = False
    copy_paste: float = 0.0
    """Share of the images into which an object of another is pasted."""
    source_size: str = "images"
    """What a source's size is counted in: images, or masks (estimated from some of its images)."""
    source_power: float = 1.0
    """A source is drawn in proportion to its size to this power."""

    held_out: float = 0.0
    """Share of the images kept aside, by a hash of their names, to choose the best weights on."""
    validate_every: int = 0
    """Steps between two looks at the images kept aside."""
    save_every: int = 1000
    seed: int = 0


_SMALL = Recipe(
    model="default",
    steps=9000,
    batch=3,
    at_once=2,
    views=(View("whole", 4), View("crop", 5, 0.5), View("crop", 5, 0.5)),
    lr=6e-4,
    warmup=100,
    drops=(),
    cooldown=0.25,
    layer_decay=1.0,
    trunk_lr_scale=0.25,
    weight_decay=0.05,
    betas=(0.9, 0.98),
    clip_norm=2.0,
    ema=0.999,
    drop_path=0.0,
    box_chance=0.4,
    inner_chance=0.65,
    rounds=(0.5, 0.35, 0.15),
    mask_only_rounds=0,
    errors="inside",
    pixel_loss="normalised_focal",
    pixel=1.0,
    iou=5.0,
    others=0.01,
    single=0.5,
    whole_scale=(0.85, 1.0),
    vary_colours=True,
    mirror=True,
    source_power=0.6,
    held_out=0.05,
    validate_every=500,
    save_every=100,
)
_VIT_B = Recipe(model="vit_b", steps=180_000, batch=128, lr=8e-4, layer_decay=0.6, drop_path=0.6)

RECIPES: dict[str, Recipe] = {
    "debug": replace(
        _SMALL,
        steps=4,
        batch=2,
        views=(View("crop", 2, 0.25),),
        warmup=1,
        held_out=0.0,
        validate_every=0,
        save_every=2,
    ),
    "default": replace(
        _SMALL,
        box_chance=0.55,
        exact_boxes=0.7,
        rounds=(0.45, 0.35, 0.12, 0.08),
        copy_paste=0.25,
        others_box=0.3,
        source_size="masks",
        source_power=0.75,
    ),
    "finetune": replace(
        _SMALL,
        steps=300,
        lr=3e-4,
        warmup=20,
        cooldown=0.5,
        ema=0.98,
        exact_boxes=0.5,
        held_out=0.0,
        validate_every=0,
        save_every=50,
    ),
    "vit_b": _VIT_B,
    "vit_l": replace(_VIT_B, model="vit_l", lr=4e-4, layer_decay=0.8, drop_path=0.4),
    "vit_h": Recipe(),
    "amg": Recipe(
        steps=177_656,
        views=(View("jitter", 64),),
        decoder_layers=3,
        mirror=True,
        box_chance=0.0,
        rounds=(0.0,) * 3 + (1.0,),
        drops=(2 / 3, 26 / 27),
    ),
}
"""`debug` for tests, `default` for the bundled model, `finetune` for a few dozen images of one's
own, `vit_*` as SAM's appendix A has them, `amg` the model of its automatic stage (appendix B)."""
