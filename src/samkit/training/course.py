"""How far a run has come: its steps, those that were skipped, and the folder it goes on from."""

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from samkit.errors import SamkitError, UsageError
from samkit.training.state import load_state, save_state

NAN_LIMIT = 10
"""So many steps in a row without a finite loss end the run."""


class Course:
    """A model and its optimiser on their way through the steps of a recipe.

    step: steps that were taken, skipped ones among them. skipped: those whose loss or gradient was
    not finite. saved: the step of the newest state in the folder. spent: seconds that all steps
    took.
    """

    def __init__(
        self, folder: Path, model: nn.Module, optimiser: Optimizer, recipe: object
    ) -> None:
        """folder: of the run. recipe: the dataclass with every number of the run."""
        self.folder = folder
        self.model = model
        self.optimiser = optimiser
        self.recipe = as_json(recipe)
        self._defaults = as_json(type(recipe)())
        self.step = 0
        self.skipped = 0
        self.saved = 0
        self.spent = 0.0
        self._in_a_row = 0

    @property
    def sound(self) -> bool:
        """Whether the newest step had a finite loss; what comes after one that had none may have
        diverged, and is not saved over what is good."""
        return self._in_a_row == 0

    def require_saved(self) -> None:
        """Raises SamkitError where the run ended in steps without a finite loss."""
        if not self.sound:
            raise SamkitError(
                f"The loss was not finite in the last steps, so that {self.folder} stays as it was "
                f"after step {self.saved}; stop at another step, or begin in another folder with a "
                "lower --lr."
            )

    def advance(self, loss: float, norm: float) -> bool:
        """Takes the optimiser's step where the loss and the gradient's norm are finite, and counts.

        Returns whether the weights changed. Raises SamkitError after NAN_LIMIT steps in a row that
        were skipped.
        """
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite:
            self.optimiser.step()
            self._in_a_row = 0
        else:
            self.skipped += 1
            self._in_a_row += 1
            if self._in_a_row == NAN_LIMIT:
                raise SamkitError(
                    f"The loss was not finite {NAN_LIMIT} steps in a row, so that {self.folder} "
                    f"stays as it was after step {self.saved}; look for broken images, or begin "
                    "in another folder with a lower --lr."
                )
        self.step += 1
        return finite

    def save(self, more: Mapping[str, Any], part_bytes: int | None = None) -> None:
        """Writes the state, and `more` with it; see `save_state`."""
        save_state(
            self.folder,
            {
                **more,
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "skipped": self.skipped,
                "spent": self.spent,
                "recipe": self.recipe,
            },
            part_bytes,
        )
        self.saved = self.step

    def resume(self, free: Collection[str]) -> dict[str, Any] | None:
        """Goes on from the folder's state and returns it; None where there is none.

        free: the recipe's numbers that may differ from before. Raises UsageError where the run is
        of another kind, recipe or model, CheckpointError where the state is damaged.
        """
        state = load_state(self.folder)
        if state is None:
            return None
        before = state.get("recipe")
        if not isinstance(before, dict) or not set(before) <= set(self.recipe):
            raise UsageError(f"{self.folder} holds a run of another kind; choose another folder.")
        before = self._defaults | before  # of numbers that recipes have got since
        differ = [key for key in before if key not in free and before[key] != self.recipe[key]]
        if differ:
            raise UsageError(
                f"{self.folder} holds a run with another {', '.join(differ)}; give the same recipe "
                "as before, or choose another folder."
            )
        try:
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.skipped, self.spent = state["step"], state["skipped"], state["spent"]
            self.saved = self.step
        except (KeyError, RuntimeError, ValueError) as error:
            first = state.get("provenance", {}).get("init")
            begin = f"give --init {first} as at its beginning, or " if first else ""
            raise UsageError(
                f"{self.folder} holds a run of another model or with other frozen parts; {begin}"
                "choose another folder."
            ) from error
        return state


def as_json(recipe: Any) -> dict[str, Any]:
    """A recipe as JSON and torch files hold it: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return plain
