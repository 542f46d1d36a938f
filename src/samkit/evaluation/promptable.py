"""Masks from clicks and boxes: the paper's protocol (SAM, section 7.1 and appendix D.1)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from samkit.evaluation import rules
from samkit.evaluation.clicks import farthest_point, iou, next_click
from samkit.inference.predictor import SamPredictor

LEAST_PIXELS = 150
"""Masks under so many pixels are left out."""
AT_ONCE = 16
"""So many masks of a photograph are prompted together."""


@dataclass(frozen=True)
class Score:
    """What one true mask got: IoU by measure (`c1`, `c1_best`, `c5`, `box`, `disc` …)."""

    source: str
    image: str
    area: int
    values: dict[str, float]


def score_photo(
    predictor: SamPredictor,
    source: str,
    name: str,
    image: np.ndarray,
    masks: Sequence[np.ndarray],
    clicks: int = 1,
) -> Iterator[Score]:
    """Scores of every mask of one photograph.

    image: H x W x 3 uint8; masks: H x W bool each, with at least one pixel.
    clicks: rounds of the click protocol; round n is reported as `cN`. The first answers with the
        most confident of three masks (`c1`; `c1_best` is the best of the three), later ones with
        the single mask, given all clicks so far and the logits of the round before.
    A box (the mask's own, XYXY, exclusive end) answers with the most confident of three (`box`),
    the best of them (`box_best`) and the single mask (`box_single`).
    """
    predictor.set_image(image)
    for start in range(0, len(masks), AT_ONCE):
        part = masks[start : start + AT_ONCE]
        found = [dict[str, float]() for _ in part]
        _score_clicks(predictor, part, clicks, found)
        _score_boxes(predictor, part, found)
        for mask, values in zip(part, found, strict=True):
            yield Score(source, name, int(mask.sum()), values)


def _score_clicks(
    predictor: SamPredictor, masks: Sequence[np.ndarray], clicks: int, found: list[dict[str, float]]
) -> None:
    points = [[farthest_point(mask)[:2]] for mask in masks]
    labels = [[1] for _ in masks]
    low = None
    for number in range(1, clicks + 1):
        answers, scores, low_res = predictor.predict_many(
            np.array(points, float), np.array(labels), mask_input=low, multimask_output=number == 1
        )
        chosen = scores.argmax(1)
        low = low_res[np.arange(len(masks)), chosen][:, None]
        for i, mask in enumerate(masks):
            answer = answers[i, chosen[i]]
            found[i][f"c{number}"] = iou(answer, mask)
            if number == 1:
                found[i]["c1_best"] = max(iou(candidate, mask) for candidate in answers[i])
            x, y, label = next_click(answer, mask)
            points[i].append((x, y))
            labels[i].append(label)


def _score_boxes(
    predictor: SamPredictor, masks: Sequence[np.ndarray], found: list[dict[str, float]]
) -> None:
    boxes = np.array([box_of(mask) for mask in masks])
    three, scores, _ = predictor.predict_many(boxes=boxes, multimask_output=True)
    single, _, _ = predictor.predict_many(boxes=boxes, multimask_output=False)
    for i, mask in enumerate(masks):
        ious = [iou(candidate, mask) for candidate in three[i]]
        found[i]["box"] = ious[int(scores[i].argmax())]
        found[i]["box_best"] = max(ious)
        found[i]["box_single"] = iou(single[i, 0], mask)


def box_of(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The box of a mask as a prompt, XYXY: first to last pixel (both inside)."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(cols[0]), float(rows[0]), float(cols[-1]), float(rows[-1])


def score_rules(image: np.ndarray, mask: np.ndarray, grabcut: bool = True) -> dict[str, float]:
    """What the rules that need no model get for the same prompts; GrabCut takes far longer."""
    shape = mask.shape
    x, y, _ = farthest_point(mask)
    x0, y0, x1, y1 = box_of(mask)
    box = (x0, y0, x1 + 1, y1 + 1)
    values = {
        "disc": iou(rules.disc(shape, x, y, rules.DISC), mask),
        "discs_best": max(iou(rules.disc(shape, x, y, r), mask) for r in rules.DISCS),
        "rectangle": iou(rules.rectangle(shape, box), mask),
        "ellipse": iou(rules.ellipse(shape, box), mask),
    }
    if grabcut:
        values["grabcut_click"] = iou(rules.grabcut_click(image, x, y), mask)
        values["grabcut_box"] = iou(rules.grabcut_box(image, box), mask)
    return values


def table(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Means over the masks of each source, and over all masks (`all`), with their `masks` count."""
    groups: dict[str, list[Score]] = {"all": list(scores)}
    for score in scores:
        groups.setdefault(score.source, []).append(score)
    return {
        name: {"masks": float(len(group))}
        | {key: float(np.mean([s.values[key] for s in group])) for key in group[0].values}
        for name, group in groups.items()
    }
