"""From values of images to metrics of a set, with bootstrap intervals.

Every metric is a function of numbers that add up over images, so that drawing the images again is
a weighted sum.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samkit.evaluation.edge_scores import best_threshold, edge_scores
from samkit.evaluation.promptable import Values

Floats = NDArray[np.float64]
Summary = dict[str, float | list[float] | None]
"""`METRIC` and, from two images on, `METRIC_ci` ([low, high]); None where it is not defined."""

RESAMPLES = 1000
COVERAGE = (2.5, 97.5)
"""Percentiles that bound a 95% interval."""
SEED = 0

CALIBRATION, EDGES = "calibration", "edges"
"""Protocols whose metrics are no means over masks; see `calibration_values`, `edge_values`."""


@dataclass(frozen=True)
class ImageScores:
    """What one image got by one protocol."""

    source: str
    name: str
    values: Values


def calibration_values(predicted: Floats, true: Floats) -> Values:
    """Predicted and true IoU (B x K each) of the candidates of single clicks."""
    return {"predicted": predicted.ravel(), "true": true.ravel()}


def edge_values(counts: NDArray[np.int64]) -> Values:
    """An image's counts, T x 4 (see `edge_matching`)."""
    return {"counts": counts.astype(np.float64)}


def summarise(protocol: str, images: Sequence[ImageScores]) -> Summary:
    """All metrics of a protocol over some images, at least one.

    Means are over masks, not over images or sources. The interval is that of `RESAMPLES` draws of
    as many images with replacement, always the same draws for the same number of images.
    """
    numbers_of, measure = {
        EDGES: (_edge_numbers, _edge_metrics),
        CALIBRATION: (_moments, _correlation),
    }.get(protocol, (_sums, _means(list(images[0].values))))
    numbers = np.array([numbers_of(one.values) for one in images])
    summary: Summary = {}
    found = measure(numbers.sum(0, keepdims=True))
    drawn = measure(_draws(len(images)) @ numbers) if len(images) > 1 else {}
    for name, value in found.items():
        summary[name] = _finite(value[0])
        if name in drawn:
            summary[f"{name}_ci"] = _interval(drawn[name])
    return summary


def value_of(summary: Summary, metric: str) -> float:
    """A metric as a number: NaN where it is not defined."""
    value = summary[metric]
    return value if isinstance(value, float) else float("nan")


def _draws(images: int) -> Floats:
    """How often each image is drawn: `RESAMPLES` x images."""
    generator = np.random.default_rng(SEED)
    return generator.multinomial(images, np.full(images, 1 / images), RESAMPLES).astype(float)


def _interval(values: Floats) -> list[float] | None:
    values = values[np.isfinite(values)]
    return [float(v) for v in np.percentile(values, COVERAGE)] if len(values) else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sums(values: Values) -> Floats:
    """Number of masks, then the sum of each metric."""
    columns = list(values.values())
    return np.array([len(columns[0]), *(column.sum() for column in columns)], float)


def _means(names: Sequence[str]) -> Callable[[Floats], dict[str, Floats]]:
    return lambda sums: dict(zip(names, (sums[:, 1:] / sums[:, :1]).T, strict=True))


def _moments(values: Values) -> Floats:
    x, y = values["predicted"], values["true"]
    return np.array([len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])


def _correlation(sums: Floats) -> dict[str, Floats]:
    """`iou_corr`, Pearson's; NaN where one of the two does not vary."""
    n, x, y, xx, yy, xy = sums.T
    variances = np.maximum(n * xx - x * x, 0) * np.maximum(n * yy - y * y, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "iou_corr": np.where(variances > 1e-12, (n * xy - x * y) / np.sqrt(variances), np.nan)
        }


def _edge_numbers(values: Values) -> Floats:
    """All counts of an image, and once more those at its best threshold."""
    counts = values["counts"]
    return np.concatenate([counts.ravel(), counts[best_threshold(counts)]])


def _edge_metrics(sums: Floats) -> dict[str, Floats]:
    rows = [edge_scores(row[:-4].reshape(-1, 4), row[-4:]) for row in sums]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def pooled(images: Iterable[ImageScores], key: str) -> Floats:
    """One kind of value of all images."""
    return np.concatenate([one.values[key] for one in images])


@dataclass(frozen=True)
class Bin:
    """Masks of similar predicted IoU."""

    predicted: float
    true: float
    masks: int


def reliability(images: Sequence[ImageScores], bins: int = 10) -> list[Bin]:
    """Mean predicted and true IoU in bins of equal width of predicted IoU; empty ones left out."""
    predicted, true = pooled(images, "predicted"), pooled(images, "true")
    place = np.clip((predicted * bins).astype(int), 0, bins - 1)
    return [
        Bin(float(predicted[at].mean()), float(true[at].mean()), int(at.sum()))
        for at in (place == k for k in range(bins))
        if at.any()
    ]
