"""Curves of an evaluation as PNG files."""

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from samkit.evaluation.edge_scores import precision_recall
from samkit.evaluation.promptable import REPORTED
from samkit.evaluation.session import CLICKS, MODEL, Scores
from samkit.evaluation.summaries import (
    CALIBRATION,
    EDGES,
    ImageScores,
    pooled,
    reliability,
    summarise,
    value_of,
)
from samkit.files import atomic_write

_SIZE, _DPI = (6.4, 4.8), 120
_F_LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def write_curves(folder: Path, scores: Scores) -> list[Path]:
    """Draws whatever the scores have curves for; returns the files: clicks, calibration, edges."""
    by_protocol: dict[str, dict[str, list[ImageScores]]] = {}
    for (who, protocol), images in scores.by.items():
        by_protocol.setdefault(protocol, {})[who] = images
    written = []
    for protocol, draw in ((CLICKS, _clicks), (CALIBRATION, _calibration), (EDGES, _edges)):
        if protocol in by_protocol:
            figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
            draw(figure.add_subplot(), by_protocol[protocol])
            written.append(_save(figure, folder / f"{protocol}.png"))
    return written


def _clicks(axes: Axes, by: dict[str, list[ImageScores]]) -> None:
    """Mean IoU over the number of clicks, with its interval; the rules beside it."""
    for who, images in by.items():
        summary = summarise(CLICKS, images)
        at = [n for n in REPORTED if f"c{n}" in summary]
        values = [value_of(summary, f"c{n}") for n in at]
        line = {"linewidth": 2.5, "zorder": 3} if who == MODEL else {"linestyle": "--"}
        (drawn,) = axes.plot(at, values, marker="o", label=who, **line)
        intervals = [summary.get(f"c{n}_ci") for n in at]
        if who == MODEL and all(isinstance(one, list) for one in intervals):
            low, high = np.array(intervals).T
            axes.fill_between(at, low, high, color=drawn.get_color(), alpha=0.2)
        best = value_of(summary, "c1_best")
        if best > values[0] + 1e-9:
            name = f"{who}, best of three"
            axes.plot([1], [best], marker="*", ms=11, ls="", color=drawn.get_color(), label=name)
    axes.set(xlabel="clicks", ylabel="mean IoU", ylim=(0, 1), xticks=REPORTED)
    _finish(axes)


def _calibration(axes: Axes, by: dict[str, list[ImageScores]]) -> None:
    """True over predicted IoU: the masks themselves, and their means in bins."""
    images = by[MODEL]
    predicted, true = pooled(images, "predicted"), pooled(images, "true")
    bins = reliability(images)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as predicted")
    alpha = float(np.clip(300 / len(true), 0.1, 0.6))
    axes.scatter(predicted, true, s=6, alpha=alpha, linewidths=0, label=f"{len(true)} masks")
    axes.plot([b.predicted for b in bins], [b.true for b in bins], "o-", lw=2.5, label="mean")
    correlation = summarise(CALIBRATION, images)["iou_corr"]
    told = "" if correlation is None else f"correlation {correlation:.3f}"
    axes.set(xlabel="predicted IoU", ylabel="true IoU", xlim=(0, 1), ylim=(0, 1), title=told)
    _finish(axes)


def _edges(axes: Axes, by: dict[str, list[ImageScores]]) -> None:
    """Precision over recall at all thresholds, on curves of equal F."""
    recall = np.linspace(0.01, 1, 200)
    for level in _F_LEVELS:
        with np.errstate(divide="ignore"):
            precision = level * recall / (2 * recall - level)
        shown = (precision > 0) & (precision <= 1)
        axes.plot(recall[shown], precision[shown], color="lightgreen", linewidth=0.8)
        axes.text(1.005, level / (2 - level), f"F {level}", fontsize=7, va="center", color="green")
    for who, images in by.items():
        counts = sum(one.values["counts"] for one in images)
        precision, recall_at = precision_recall(np.asarray(counts))
        reached = np.asarray(counts)[:, 3] > 0
        label = f"{who}, ODS {summarise(EDGES, images)['ods']:.3f}"
        axes.plot(recall_at[reached], precision[reached], linewidth=2, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    _finish(axes)


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _save(figure: Figure, path: Path) -> Path:
    data = BytesIO()
    FigureCanvasAgg(figure).print_png(data)
    with atomic_write(path) as file:
        file.write(data.getbuffer())
    return path
