"""Flags that several verbs share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from samkit.modeling import Sam

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
"""A flag that is off unless it is given."""


@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """Which model runs, and where."""

    model: str = "default"
    """A name that `samkit models` lists, or the path of a checkpoint of any known format."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; auto takes the quickest that there is."""
    dtype: str = "auto"
    """auto, float32, bfloat16, float16: in which the image encoder computes."""

    def load(self) -> "Sam":
        """The model, ready to predict. Raises CheckpointError or UsageError."""
        from samkit.checkpoints.loading import load

        return load(self.model, device=self.device, dtype=self.dtype)
