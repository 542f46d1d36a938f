"""Average recall against pycocotools' COCOeval."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from samkit.evaluation.proposals import match_ranks, score_proposals
from samkit.masks import rle


def random_rectangles(generator: np.random.Generator, count: int) -> np.ndarray:
    masks = np.zeros((count, 40, 50), bool)
    for mask in masks:
        x, y = generator.integers(0, 35), generator.integers(0, 25)
        w, h = generator.integers(5, 15, 2)
        mask[y : y + h, x : x + w] = True
    return masks


def test_recall_is_that_of_cocoeval() -> None:
    generator = np.random.default_rng(0)
    images, truths, found = [], [], []
    values: dict[str, list[np.ndarray]] = {}
    for image in (1, 2, 3):
        masks = random_rectangles(generator, 12)
        near = np.roll(np.repeat(masks, 3, 0), generator.integers(0, 3), axis=2)
        proposals = generator.permutation(np.concatenate([near, random_rectangles(generator, 300)]))
        images.append({"id": image, "width": 50, "height": 40})
        coded = rle.encode(masks)
        truths += [
            {"id": 100 * image + i, "image_id": image, "category_id": 1, "iscrowd": 0}
            | {"segmentation": coded[i], "area": int(masks[i].sum()), "bbox": [0, 0, 1, 1]}
            for i in range(len(masks))
        ]
        answers = rle.encode(proposals)
        found += [
            {"image_id": image, "category_id": 1, "score": -rank, "segmentation": one}
            for rank, one in enumerate(answers)
        ]
        for key, value in score_proposals(answers, coded).items():
            values.setdefault(key, []).append(value)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": truths, "categories": [{"id": 1}]}
        truth.createIndex()
        official = COCOeval(truth, truth.loadRes(found), "segm")
        official.params.useCats = 0
        official.params.maxDets = [10, 100, 1000]
        official.evaluate()
        official.accumulate()
    recall = official.eval["recall"][:, 0, 0].mean(0)
    ours = [np.concatenate(values[f"ar{most}"]).mean() for most in (10, 100, 1000)]
    assert ours == pytest.approx(recall.tolist())
    assert 0 < ours[0] < ours[1] < ours[2] < 1


def test_each_proposal_takes_one_mask_and_the_better_ranked_one_wins() -> None:
    ious = np.array([[0.7, 0.6], [0.7, 0.0], [0.0, 0.95]])
    ranks = match_ranks(ious)
    assert ranks[:, 0].tolist() == [0] * 5 + [np.inf] * 5  # at .5 to .7
    assert ranks[:, 1].tolist() == [2] * 10  # the first proposal is taken


def test_no_proposals_find_nothing() -> None:
    values = score_proposals([], rle.encode(np.ones((1, 4, 4), bool)))
    assert [value.tolist() for value in values.values()] == [[0.0]] * 3
