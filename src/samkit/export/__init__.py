"""Models as ONNX graphs, for the annotator's page and for programs without torch.

Names are looked up when they are first used, so that importing this does not import torch.
"""

from typing import TYPE_CHECKING

from samkit.lazy import lazily

if TYPE_CHECKING:
    from samkit.export.writing import write_decoder, write_encoder

__all__ = ["write_decoder", "write_encoder"]

__getattr__, __dir__ = lazily(__name__, {"writing": ("write_decoder", "write_encoder")})
