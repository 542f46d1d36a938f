"""`samkit auto`: what is written, what is skipped, and what is never written over."""

import csv
import json
import os
import re
import shutil
import signal
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from samkit.checkpoints.known import BUNDLED
from samkit.cli import auto_run
from samkit.datasets.labelmap import read_label_map
from samkit.errors import SamkitError
from samkit.files import held
from samkit.inference.settings import PRESETS, AutomaticMaskSettings


def everything_in(folder: Path) -> dict[str, bytes]:
    """All visible files below a folder with their bytes."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = ((path.relative_to(folder), path) for path in paths)
    return {
        name.as_posix(): path.read_bytes()
        for name, path in names
        if not any(part.startswith(".") for part in name.parts)
    }


def masks_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["annotations"]


def test_sa1b_has_a_json_for_each_photograph_in_its_folder(samkit, photos, everything) -> None:
    done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 0
    assert sorted(everything_in(Path("out"))) == ["a.json", "sub/b.json"]
    document = json.loads(Path("out/sub/b.json").read_text())
    assert set(document) == {"image", "annotations"}
    image = document["image"]
    assert (image["file_name"], image["height"], image["width"]) == ("b.jpg", 50, 30)
    assert len(document["annotations"]) > 1
    for record in document["annotations"]:
        assert coco_mask.decode(record["segmentation"]).sum() == record["area"] > 0


def test_coco_loads_in_pycocotools(samkit, photos, everything) -> None:
    assert samkit("auto", photos, "-o", "out", "--format", "coco", everything).code == 0
    coco = COCO("out/instances.json")
    assert sorted(image["file_name"] for image in coco.loadImgs(coco.getImgIds())) == [
        "a.png",
        "sub/b.jpg",
    ]
    annotations = coco.loadAnns(coco.getAnnIds())
    assert annotations
    assert all(coco.annToMask(one).sum() == one["area"] for one in annotations)


def test_png_has_the_layout_of_the_official_script(samkit, photos, everything) -> None:
    assert samkit("auto", photos, "-o", "out", "--format", "png", everything).code == 0
    with open("out/sub/b/metadata.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        mask = np.asarray(Image.open(f"out/sub/b/{row['id']}.png"))
        assert mask.shape == (50, 30)
        assert set(np.unique(mask)) <= {0, 255}
        assert np.count_nonzero(mask) == int(row["area"])


def test_labelmap_is_one_picture_without_overlaps(samkit, photos, everything) -> None:
    assert samkit("auto", photos, "-o", "out", "--format", "labelmap", everything).code == 0
    assert sorted(everything_in(Path("out"))) == ["a_labels.png", "sub/b_labels.png"]
    assert read_label_map("out/sub/b_labels.png").shape == (50, 30)


def test_overlay_is_a_picture_as_large_as_the_photograph(
    samkit, photos, everything, photograph
) -> None:
    assert samkit("auto", photos, "-o", "out", "--overlay", everything).code == 0
    with Image.open("out/sub/b_overlay.jpg") as overlay, Image.open(photos / "sub/b.jpg") as photo:
        assert overlay.size == photo.size
        assert np.abs(np.asarray(overlay).astype(int) - np.asarray(photo)).max() > 50


def test_copied_images_make_a_store(samkit, photos, everything) -> None:
    from samkit.datasets.store import StoreReader

    assert samkit("auto", photos, "-o", "out", "--copy-images", everything).code == 0
    pairs = list(StoreReader("out"))
    assert [pair.name for pair in pairs] == ["a", "sub/b"]
    assert pairs[1].image().shape == (50, 30, 3)
    assert Path("out/sub/b.jpg").read_bytes() == (photos / "sub/b.jpg").read_bytes()


def test_copies_are_for_sa1b_only(samkit, photos) -> None:
    done = samkit("auto", photos, "-o", "out", "--format", "png", "--copy-images")
    assert done.code == 2
    assert "--copy-images" in done.err


def test_rerun_skips_what_is_done_and_makes_what_is_missing(
    samkit, photos, everything, photograph
) -> None:
    samkit("auto", photos, "-o", "out", everything)
    before = everything_in(Path("out"))
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.json")}
    done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 0
    assert "2 images done before" in done.out
    assert times == {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.json")}

    Path("out/sub/b.json").unlink()
    photograph(photos / "c.png", 3)
    done = samkit("auto", photos, "-o", "out", everything)
    assert "1 image done before" in done.out
    after = everything_in(Path("out"))
    assert after.pop("c.json")
    assert after == before


def test_rerun_adds_overlays_that_were_not_asked_for_before(samkit, photos, everything) -> None:
    samkit("auto", photos, "-o", "out", everything)
    assert samkit("auto", photos, "-o", "out", "--overlay", everything).code == 0
    assert Path("out/a_overlay.jpg").exists()
    assert "2 images done before" in samkit("auto", photos, "-o", "out", everything).out


def test_photograph_that_changed_is_done_anew(samkit, photos, everything, photograph) -> None:
    samkit("auto", photos, "-o", "out", "--overlay", everything)
    photograph(photos / "a.png", 7)
    done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 0
    assert "1 image done before" in done.out
    assert not Path("out/a_overlay.jpg").exists()  # it showed the old photograph


def test_photographs_that_were_moved_or_touched_are_still_done(samkit, photos, everything) -> None:
    samkit("auto", photos, "-o", "out", everything)
    shutil.copytree(photos, "elsewhere")
    os.utime(photos / "a.png")
    assert "2 images done before" in samkit("auto", "elsewhere", "-o", "out", everything).out
    assert "2 images done before" in samkit("auto", photos, "-o", "out", everything).out


def test_other_settings_are_noticed_and_nothing_is_touched(samkit, photos, everything) -> None:
    samkit("auto", photos, "-o", "out", everything)
    before = everything_in(Path("out"))
    done = samkit("auto", photos, "-o", "out", everything, "--box-nms-thresh", "0.5")
    assert done.code == 2
    assert "box_nms_thresh 0.7, now 0.5" in done.err
    assert "--force" in done.err
    assert everything_in(Path("out")) == before


def test_another_model_is_noticed_and_force_makes_all_anew(
    samkit, photos, everything, other
) -> None:
    samkit("auto", photos, "-o", "out", everything)
    before = everything_in(Path("out"))
    words = ["auto", photos, "-o", "out", *everything[2:], "--model", other]
    done = samkit(words)
    assert done.code == 2
    assert "tiny.safetensors, now" in done.err
    assert everything_in(Path("out")) == before
    assert samkit(words, "--force").code == 0
    after = everything_in(Path("out"))
    assert all(after[name] != before[name] for name in before)
    assert "2 images done before" in samkit(words).out


def test_settings_that_change_no_mask_do_not_count(samkit, photos, everything) -> None:
    samkit("auto", photos, "-o", "out", everything)
    done = samkit("auto", photos, "-o", "out", everything, "--points-per-batch", "3")
    assert "2 images done before" in done.out


def test_another_photograph_of_the_same_name_is_noticed(
    samkit, photos, everything, photograph
) -> None:
    samkit("auto", photos, "-o", "out", everything)
    photograph(Path("more/a.png"), 9)
    before = everything_in(Path("out"))
    done = samkit("auto", "more", "-o", "out", everything)
    assert done.code == 2
    assert "photos/a.png" in done.err
    assert everything_in(Path("out")) == before


def test_files_of_others_are_not_written_over(samkit, photos, everything) -> None:
    Path("out").mkdir()
    theirs = {"image": {}, "annotations": [], "by": "hand"}
    Path("out/a.json").write_text(json.dumps(theirs))
    done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 2
    assert "not written by samkit auto" in done.err
    assert json.loads(Path("out/a.json").read_text()) == theirs


def test_picture_of_others_in_the_place_of_a_later_overlay_is_not_written_over(
    samkit, photos, everything, photograph
) -> None:
    samkit("auto", photos, "-o", "out", everything)
    theirs = photograph(Path("out/a_overlay.jpg"), 8).read_bytes()
    done = samkit("auto", photos, "-o", "out", "--overlay", everything)
    assert done.code == 2
    assert "a_overlay.jpg" in done.err
    assert Path("out/a_overlay.jpg").read_bytes() == theirs


def test_names_that_differ_by_their_suffix_only_both_have_an_output(
    samkit, photos, everything, photograph
) -> None:
    photograph(photos / "a.jpg", 5)
    assert samkit("auto", photos, "-o", "out", everything).code == 0
    assert sorted(everything_in(Path("out"))) == ["a_jpg.json", "a_png.json", "sub/b.json"]


def test_broken_image_is_named_and_the_others_are_done(samkit, photos, everything) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 cut")
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")
    done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 1
    assert "broken.jpg" in done.err
    assert "dangling.jpg" in done.err
    assert "2 images failed" in done.out
    assert sorted(everything_in(Path("out"))) == ["a.json", "sub/b.json"]
    assert samkit("auto", photos, "-o", "out", everything).code == 1  # tried again


def test_image_that_needs_too_much_memory_is_named_too(
    samkit, photos, everything, monkeypatch
) -> None:
    from samkit.inference import automatic_mask_generator as module

    generate = module.SamAutomaticMaskGenerator.generate

    def greedy(self, image, *rest):
        if image.shape[:2] == (40, 60):
            raise RuntimeError("CUDA out of memory. Tried to allocate 9.00 GiB.")
        return generate(self, image, *rest)

    monkeypatch.setattr(module.SamAutomaticMaskGenerator, "generate", greedy)
    done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 1
    assert "a.png: it needs more memory" in done.err
    assert sorted(everything_in(Path("out"))) == ["sub/b.json"]


def test_full_disk_stops_the_run_at_once(samkit, photos, everything, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SamkitError("Cannot write it: the disk is full; free some space and try again.")

    monkeypatch.setattr(auto_run.Claims, "finish", full)
    done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 2
    assert done.err.count("disk is full") == 1


def test_no_mask_at_all_is_a_result(samkit, photos, tiny) -> None:
    words = ["--model", tiny, "--points-per-side", "2", "--pred-iou-thresh", "1000"]
    done = samkit("auto", photos, "-o", "out", "--overlay", words)
    assert done.code == 0
    assert masks_of(Path("out/a.json")) == []
    assert "0 masks of 2 images" in done.out


@pytest.mark.parametrize("format", ["coco", "png", "labelmap"])
def test_no_mask_at_all_is_a_result_in_every_format(samkit, photos, tiny, format) -> None:
    words = ["--model", tiny, "--points-per-side", "2", "--pred-iou-thresh", "1000"]
    assert samkit("auto", photos, "-o", "out", "--format", format, words).code == 0
    again = samkit("auto", photos, "-o", "out", "--format", format, words)
    assert "2 images done before" in again.out


@pytest.mark.parametrize("out", ["photos", "photos/masks", "."])
@pytest.mark.parametrize("format", ["sa1b", "png", "labelmap"])
def test_outputs_among_the_photographs_are_not_taken_for_photographs(
    samkit, photos, everything, out, format
) -> None:
    words = ["auto", photos, "-o", out, "--format", format, "--overlay", everything]
    assert samkit(words).code == 0
    before = everything_in(Path("."))
    done = samkit(words)
    assert done.code == 0
    assert "2 images done before" in done.out
    assert everything_in(Path(".")) == before
    elsewhere = samkit("auto", photos, "-o", "../elsewhere", everything)
    if out != ".":
        assert "of 2 images" in elsewhere.out


def test_nothing_in_an_output_folder_below_the_photographs_is_taken_for_one(
    samkit, photos, everything, photograph
) -> None:
    photograph(photos / "masks" / "of_another_tool.png", 6)
    done = samkit("auto", photos, "-o", photos / "masks", everything)
    assert done.code == 0
    assert "of 2 images" in done.out


def test_overlays_that_a_pattern_names_are_passed_over(samkit, photos, everything) -> None:
    samkit("auto", photos, "-o", photos, "--overlay", everything)
    done = samkit("auto", sorted(photos.glob("*.*g")), "-o", photos, "--overlay", everything)
    assert done.code == 0
    assert "1 image done before" in done.out
    done = samkit("auto", photos / "a_overlay.jpg", "-o", "out", everything)
    assert done.code == 2
    assert "1 that samkit wrote" in done.err


def test_photograph_named_like_an_overlay_is_never_written_over(
    samkit, photos, everything, photograph
) -> None:
    mine = photograph(photos / "a_overlay.jpg", 4).read_bytes()
    for force in ([], ["--force"]):
        done = samkit("auto", photos, "-o", photos, "--overlay", everything, force)
        assert done.code == 2
        assert "a_overlay.jpg" in done.err
    assert (photos / "a_overlay.jpg").read_bytes() == mine


@pytest.mark.parametrize("words", [["nothing"], ["empty"]])
def test_nothing_to_read_is_one_sentence(samkit, here, words) -> None:
    (here / "empty").mkdir()
    done = samkit("auto", words, "-o", "out")
    assert done.code == 2
    assert words[0] in done.err
    assert not Path("out").exists()


def test_file_in_the_place_of_the_output_folder(samkit, photos, everything) -> None:
    Path("out").write_text("mine")
    done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 2
    assert "out is a file" in done.err


def test_unknown_model_leaves_no_folder(samkit, photos) -> None:
    done = samkit("auto", photos, "-o", "out", "--model", "nowhere.pth")
    assert done.code == 2
    assert "nowhere.pth" in done.err
    assert not Path("out").exists()


def test_a_run_without_a_mask_says_which_flags_would_help(samkit, photos, tiny, everything) -> None:
    few = ["--model", tiny, "--points-per-side", "3"]
    done = samkit("auto", photos, "-o", "out", *few, "--pred-iou-thresh", "9")
    assert done.code == 0
    assert "--pred-iou-thresh (now 9)" in done.out and "--preset small" in done.out
    done = samkit("auto", photos, "-o", "lower", *everything, "--max-mask-share", "0")
    assert "--pred-iou-thresh (now 0)" in done.out and "--preset small" not in done.out


def test_every_setting_is_a_flag_and_presets_fill_those_not_given(
    samkit, photos, tiny, monkeypatch
) -> None:
    seen: list[AutomaticMaskSettings] = []

    def run(job, load, *, force):
        seen.append(job.settings)
        return 0

    monkeypatch.setattr("samkit.cli.auto.run", run)
    start = ["auto", photos, "-o", "out"]
    samkit(start, "--model", tiny)
    samkit(start, "--preset", "official")
    samkit(start, "--preset", "paper")
    samkit(start, "--preset", "paper", "--crop-n-layers", "1", "--no-drop-small-masks")
    assert seen[:2] == [PRESETS["official"]] * 2
    assert seen[2] == PRESETS["paper"]
    assert (seen[3].crop_n_layers, seen[3].drop_small_masks) == (1, False)
    assert seen[3].min_mask_region_area == PRESETS["paper"].min_mask_region_area
    samkit(start)
    samkit(start, "--points-per-side", "9")
    assert seen[4] == PRESETS["small"]
    assert seen[5].points_per_side == 9
    assert seen[5].pred_iou_thresh == PRESETS["small"].pred_iou_thresh

    copy = Path("fine_tuned.safetensors")
    copy.write_bytes(BUNDLED.read_bytes())
    samkit(start, "--model", copy)
    assert seen[6] == PRESETS["small"]

    shown = samkit("auto", "--help").out.replace("\n", "").replace(" ", "").replace("│", "")
    for field in fields(AutomaticMaskSettings):
        flag = "--" + field.name.replace("_", "-")
        assert flag[:20] in shown
        value = "1" if field.type in ("int", int) else "0.5"
        if field.type in (bool, "bool"):
            samkit(start, flag)
            assert getattr(seen[-1], field.name) is True
        else:
            samkit(start, flag, "7" if "int" in str(field.type) else value)
            assert getattr(seen[-1], field.name) in (7, 0.5)


@pytest.mark.parametrize(
    ("kind", "format"),
    [
        (signal.SIGINT, "sa1b"),
        (signal.SIGKILL, "sa1b"),
        pytest.param(signal.SIGTERM, "png", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, "png", marks=pytest.mark.slow),
    ],
)
def test_killed_in_the_middle_nothing_is_half_written_and_a_rerun_goes_on(
    samkit, forked, here, everything, kind, format, photograph
) -> None:
    count = 6
    for seed in range(count):
        photograph(here / "photos" / f"{seed:02}.png", seed, (200, 200))
    words = ["auto", "photos", "-o", "out", "--overlay", "--format", format, *everything]
    words[words.index("--points-per-side") + 1] = "16"  # a while for each image
    process = forked.samkit(*words)
    for line in process.stderr:
        if line.startswith(f"[2/{count}]"):
            break
    time.sleep(0.05)
    process.send_signal(kind)
    _, rest = process.communicate()
    assert process.poll() == {2: 130, 15: 143, 9: -9}[int(kind)]
    if kind == signal.SIGINT:
        assert "goes on from there" in rest
        assert "Traceback" not in rest

    files = everything_in(Path("out"))
    assert 2 <= sum(name.endswith("_overlay.jpg") for name in files) < count
    for name in files:
        path = Path("out", name)
        if name.endswith(".json"):
            assert masks_of(path)
        elif name.endswith(("g",)):
            with Image.open(path) as picture:
                picture.load()
    for folder in Path("out").iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            with open(folder / "metadata.csv") as file:
                assert len(list(file)) == len(list(folder.glob("*.png"))) + 1
    if kind != signal.SIGKILL:
        assert not list(Path("out").rglob("*.tmp"))

    done = samkit(words)
    assert done.code == 0
    whole = int(re.search(r"(\d+) images done before", done.out)[1])
    assert 2 <= whole <= sum(name.endswith("_overlay.jpg") for name in files)
    assert f"{count} images done before" in samkit(words).out


def test_second_process_in_the_same_folder_is_sent_away(samkit, photos, everything) -> None:
    with held(Path("out")):
        done = samkit("auto", photos, "-o", "out", everything)
    assert done.code == 2
    assert "Another samkit" in done.err
    assert samkit("auto", photos, "-o", "out", everything).code == 0
