"""What a run shows while it goes on: a log, TensorBoard, curves and sample predictions."""

import contextlib
import csv
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch

from samkit.evaluation.clicks import farthest_point
from samkit.files import atomic_write, writing
from samkit.inference.predictor import SamPredictor
from samkit.masks import rle
from samkit.modeling import Sam
from samkit.pictures.contact_sheet import contact_sheet
from samkit.pictures.overlay import draw_overlay
from samkit.pictures.prompts import Prompts
from samkit.pictures.saving import save_picture
from samkit.training.photographs import Photo, Photographs

LOG = "log.csv"
CURVES = "curves.png"
SAMPLES = "samples.jpg"
SHOWN = 6
"""Sample predictions in the picture."""
_LOOKED_AT = 60  # photographs, until so many are found


class Watch:
    """Writes `log.csv`, TensorBoard's events below `tensorboard/`, and `curves.png`.

    A run that goes on after a kill may have been past its newest state: rows of the log beyond it
    are removed when the run is taken up again. Raises SamkitError where something cannot be
    written.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool = True) -> None:
        """step: the number of steps that the run has done."""
        self.folder = folder
        self.rows = _read_log(folder / LOG, step)
        self._fields: list[str] = []
        self._board = None
        if tensorboard:
            from samkit.training.board import Board

            self._board = Board(folder / "tensorboard", step)
        self._rewrite()

    def note(self, step: int, seen: dict[str, float]) -> None:
        """Adds what was measured in a step."""
        row = {"step": float(step), **seen}
        self.rows.append(row)
        if set(row) <= set(self._fields):
            path = self.folder / LOG
            with writing(path), open(path, "a", newline="") as file:
                csv.DictWriter(file, self._fields, restval="").writerow(_short(row))
        else:  # a measure that was not there before: the head of the file grows
            self._rewrite()
        if self._board is not None:
            self._board.note(step, seen)

    def draw(self) -> None:
        """Draws the curves anew."""
        draw_curves(self.rows, self.folder / CURVES)

    def close(self) -> None:
        """Ends TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    def _rewrite(self) -> None:
        fields = {"step": None} | dict.fromkeys(key for row in self.rows for key in row)
        self._fields = list(fields)
        with atomic_write(self.folder / LOG, "w") as file:
            writer = csv.DictWriter(file, self._fields, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(_short(row) for row in self.rows)


def draw_curves(rows: Sequence[dict[str, float]], path: Path) -> None:
    """A chart of loss, IoU and learning rate over the steps, smoothed; a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {
        "Loss": [("loss", "loss")],
        "IoU in training": [
            ("c1", "one click, most confident"),
            ("c1_best", "one click, best of three"),
            ("c2", "two clicks"),
            ("c3", "three clicks"),
            ("box", "box, most confident"),
        ],
        "IoU on images kept aside": [
            ("held_out_c1", "one click, most confident"),
            ("held_out_c1_best", "one click, best of three"),
            ("held_out_box", "box, most confident"),
        ],
        "Learning rate": [("lr", "learning rate")],
    }
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), constrained_layout=True)
    for axis, (title, curves) in zip(axes.flat, panels.items(), strict=True):
        axis.set_title(title, loc="left", fontsize=11)
        axis.set_xlabel("step")
        axis.grid(alpha=0.25)
        for key, label in curves:
            steps = np.array([row["step"] for row in rows if key in row])
            values = np.array([row[key] for row in rows if key in row])
            if len(values):
                smooth = title != "Learning rate" and not key.startswith("held_out")
                axis.plot(*(_smoothed(steps, values) if smooth else (steps, values)), label=label)
        if len(curves) > 1 and axis.lines:
            axis.legend(frameon=False, fontsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=110)
    pyplot.close(figure)


def draw_samples(sam: Sam, photos: Sequence[Photo], path: Path) -> None:
    """For some masks of photographs: what one click gives (left), and the truth (right).

    Leaves the model in eval mode, and no picture where no photograph has a mask.
    """
    sam.eval()
    tiles: list[np.ndarray] = []
    with torch.inference_mode():
        predictor = SamPredictor(sam)
        for photo in photos:
            largest = max(photo.annotations, key=lambda a: a["area"])
            truth = rle.decode(largest["segmentation"])
            x, y, _ = farthest_point(truth)
            predictor.set_image(photo.image)
            masks, scores, _ = predictor.predict(
                np.array([[x, y]], float), np.array([1]), multimask_output=True
            )
            given = Prompts(points=[[x, y]], labels=[1])
            answer = masks[int(scores.argmax())]
            tiles += [
                draw_overlay(photo.image, [answer], prompts=given),
                draw_overlay(photo.image, [truth], prompts=given),
            ]
    if tiles:
        save_picture(path, contact_sheet(tiles, columns=4))


def sample_photos(photographs: Photographs) -> list[Photo]:
    """Photographs with masks for `draw_samples`: of those kept aside, or else of all sources."""
    places = photographs.kept_aside or [
        place for row in zip_longest(*photographs.sources.values()) for place in row if place
    ]
    found: list[Photo] = []
    for place in places[:_LOOKED_AT]:
        photo = photographs.read(place)
        if photo is not None and photo.annotations:
            found.append(photo)
        if len(found) == SHOWN:
            break
    return found


def _smoothed(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over windows, about a hundred of them."""
    width = max(1, len(values) // 100)
    count = len(values) // width * width
    return (
        steps[:count].reshape(-1, width).mean(1),
        values[:count].reshape(-1, width).mean(1),
    )


def _read_log(path: Path, step: int) -> list[dict[str, float]]:
    """The rows of a log up to a step; what a power cut left of one is no row."""
    if not path.exists():
        return []
    rows = []
    with open(path, newline="", errors="replace") as file:
        for row in csv.DictReader(file):
            with contextlib.suppress(ValueError, TypeError):
                rows.append({key: float(value) for key, value in row.items() if value})
    return [row for row in rows if row.get("step", step + 1) <= step]


def _short(row: dict[str, float]) -> dict[str, str]:
    return {key: str(int(value)) if key == "step" else f"{value:.6g}" for key, value in row.items()}
