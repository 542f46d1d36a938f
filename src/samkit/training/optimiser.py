"""What changes the weights: groups of parameters, the learning rate's course, averaged weights."""

import torch
from torch import Tensor

from samkit.modeling import ImageEncoderViT, Sam
from samkit.training.recipes import Recipe


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of step `step`, counted from 0.

    Linear warm-up; then constant, a tenth after each of the recipe's drops; a linear cool-down to
    zero over the last share of the run where the recipe has one (SAM, appendix A, "Training
    recipe").
    """
    rise = min(1.0, (step + 1) / max(1, recipe.warmup))
    passed = sum(step >= round(share * recipe.steps) for share in recipe.drops)
    cooldown = max(1.0, recipe.cooldown * recipe.steps)
    fall = min(1.0, (recipe.steps - step) / cooldown) if recipe.cooldown else 1.0
    return recipe.lr * min(rise, fall) * 0.1**passed


def rate_scale(sam: Sam, recipe: Recipe, name: str) -> float:
    """The share of the learning rate at which a parameter learns.

    Block i of a ViT of depth D learns at layer_decay^(D - i), patches and positions at one step
    more, neck, prompt encoder and decoder at 1 (layer-wise decay as in MAE and ViTDet).
    """
    encoder = sam.image_encoder
    if not isinstance(encoder, ImageEncoderViT):
        return recipe.trunk_lr_scale if name.startswith("image_encoder.trunk.") else 1.0
    depth = len(encoder.blocks)
    if name.startswith(("image_encoder.patch_embed.", "image_encoder.pos_embed")):
        return recipe.layer_decay ** (depth + 1)
    if name.startswith("image_encoder.blocks."):
        return recipe.layer_decay ** (depth - int(name.split(".")[2]))
    return 1.0


def decays(name: str, value: Tensor) -> bool:
    """Whether weight decay acts on a parameter: not on norms, biases, embeddings and tables."""
    table = any(word in name for word in ("embed", "token", "rel_pos"))
    return value.dim() > 1 and (not table or "patch_embed" in name)


def parameter_groups(sam: Sam, recipe: Recipe) -> list[dict[str, object]]:
    """Groups for AdamW, each with its `scale` of the learning rate; frozen parameters are left
    out."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, value in sam.named_parameters():
        if value.requires_grad:
            decay = recipe.weight_decay if decays(name, value) else 0.0
            groups.setdefault((rate_scale(sam, recipe, name), decay), []).append(value)
    return [
        {"params": values, "scale": scale, "weight_decay": decay}
        for (scale, decay), values in groups.items()
    ]


class AveragedWeights:
    """The exponential moving average of a model's weights; early on it follows faster."""

    def __init__(self, sam: Sam, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.clone() for name, value in sam.state_dict().items()}

    def update(self, sam: Sam, step: int) -> None:
        """Moves towards the model's weights after step `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in sam.state_dict().items():
                kept = self.values[name]
                if kept.is_floating_point():
                    kept.lerp_(value, 1 - decay)
                else:
                    kept.copy_(value)
