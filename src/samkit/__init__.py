"""samkit: the whole of Segment Anything in one package.

Names are looked up when they are first used, so that `import samkit` and `samkit --help` do not
wait for torch. `import samkit as segment_anything` runs code written for the official package.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samkit.build_sam import (
        build_sam as build_sam,
    )
    from samkit.build_sam import (
        build_sam_vit_b,
        build_sam_vit_h,
        build_sam_vit_l,
        sam_model_registry,
    )
    from samkit.checkpoints.loading import load
    from samkit.errors import SamkitError
    from samkit.inference.automatic_mask_generator import SamAutomaticMaskGenerator
    from samkit.inference.embeddings import ImageEmbedding
    from samkit.inference.predictor import SamPredictor
    from samkit.modeling import Sam

    __version__: str

__all__ = [
    "ImageEmbedding",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "SamkitError",
    "__version__",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "load",
    "sam_model_registry",
]

_WHERE = {
    "ImageEmbedding": "inference.embeddings",
    "Sam": "modeling",
    "SamAutomaticMaskGenerator": "inference.automatic_mask_generator",
    "SamPredictor": "inference.predictor",
    "SamkitError": "errors",
    "build_sam": "build_sam",
    "build_sam_vit_b": "build_sam",
    "build_sam_vit_h": "build_sam",
    "build_sam_vit_l": "build_sam",
    "load": "checkpoints.loading",
    "sam_model_registry": "build_sam",
}

_MODULES = ("automatic_mask_generator", "modeling", "predictor", "utils")
"""Official modules that are there as attributes as soon as the package is imported."""


def __getattr__(name: str) -> Any:
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("samkit")
    elif name in _WHERE:
        value = getattr(importlib.import_module(f"samkit.{_WHERE[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"samkit.{name}")
    else:
        raise AttributeError(f"module 'samkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps `samkit.build_sam` the function, though a module of that name is imported beside it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "build_sam" and isinstance(value, ModuleType):
            value = value.build_sam
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
