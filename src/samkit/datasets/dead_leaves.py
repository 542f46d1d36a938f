"""A synthetic set that needs no files: scenes of shapes that cover each other, made on the fly."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from samkit import images
from samkit.datasets.augment import LEAST_PIXELS, LEAST_VISIBLE
from samkit.datasets.colour_names import colour_name
from samkit.datasets.document import ImageInfo, image_id_of
from samkit.datasets.painting import Painting, paint
from samkit.datasets.pairs import Pair, PairReader
from samkit.datasets.records import Record
from samkit.datasets.scenes import draw_scene
from samkit.datasets.textures import as_pixels
from samkit.errors import ImageError, UsageError
from samkit.masks import rle
from samkit.masks.runs import window_of

LEVELS = ("whole", "part", "sub-part")
SIDES = (64, 4096)
_RECORD_BITS = 12
_PHOTO_SIDE = 640
_PHOTOS_A_SCENE = 6
_PHOTOS_KEPT = 256
_SAME = 0.95  # a part that is so much of what is seen of its whole is no mask of its own
_EVEN = 45.0  # a colour is named where its channels deviate less


class DeadLeaves(PairReader):
    """Scenes of occluding textured shapes with exact nested masks: whole, part and sub-part.

    Scene k depends on the size, the seed, k and the textures alone. A mask is what is seen of an
    object or a part, its own parts included; it has at least LEAST_PIXELS pixels and LEAST_VISIBLE
    of what its shape has in the picture. A record says its `level` (LEVELS) and `labels` (the
    shape, and the shape with its colour, where it has one) under its samkit key.
    """

    def __init__(
        self,
        count: int,
        size: int = 512,
        seed: int = 0,
        textures: Sequence[str | Path] | None = None,
    ) -> None:
        """count: number of scenes. size: side of the square pictures in pixels.

        textures: photographs, or folders of them, from which most textures are cut. One that cannot
        be read is named in `broken`. Raises UsageError for sizes that make no sense, for textures
        that are not there, and where a folder of them holds none.
        """
        super().__init__()
        if count < 1 or not SIDES[0] <= size <= SIDES[1] or seed < 0:
            raise UsageError(
                f"A synthetic set needs at least one scene, a side of {SIDES[0]} to {SIDES[1]} "
                "pixels and a seed that is not negative."
            )
        self.size, self.seed = size, seed
        self._count = count
        self._textures = images.walk(textures) if textures is not None else []
        if textures is not None and not self._textures:
            raise UsageError(f"There are no photographs in {', '.join(map(str, textures))}.")
        self._photos: dict[Path, NDArray[np.uint8] | None] = {}

    def paint(self, index: int) -> Painting:
        """Scene number `index` as it was painted, with everything that is known of it."""
        rng = np.random.default_rng([self.seed, index])
        return paint(draw_scene(self.size, self._draw_photos(rng), rng), self.size, rng)

    def _iterate_names(self) -> Iterator[str]:
        for index in range(self._count):
            yield f"{index:07d}"

    def _load(self, name: str) -> Pair:
        painting = self.paint(int(name))
        info = ImageInfo(
            image_id_of(f"dead leaves {self.seed} {name}"), self.size, self.size, f"{name}.png"
        )
        return Pair(name, info, _records(painting, info), painting.image)

    def _draw_photos(self, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
        if not self._textures:
            return []
        drawn = rng.choice(len(self._textures), _PHOTOS_A_SCENE)
        photos = (self._photo(self._textures[int(place)]) for place in drawn)
        return [photo for photo in photos if photo is not None]

    def _photo(self, path: Path) -> NDArray[np.uint8] | None:
        """A photograph, made smaller, or None; many are kept, and threads may ask at once."""
        if path in (kept := self._photos):
            return kept[path]
        if len(kept) >= _PHOTOS_KEPT:
            self._photos = kept = {}
        try:
            kept[path] = photo = _made_smaller(images.read(path))
        except ImageError as error:
            self._note(str(path), str(error))
            kept[path] = photo = None
        return photo


def _made_smaller(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(1.0, _PHOTO_SIDE / max(photo.shape[:2]))
    width, height = (max(1, round(side * scale)) for side in photo.shape[1::-1])
    return as_pixels(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA))


def _records(painting: Painting, info: ImageInfo) -> list[Record]:
    """Records of all regions that are seen well enough, in the order they were painted."""
    visible = painting.visible()
    kept, crops, corners = [], [], []
    around: list[int] = []  # the regions that the one looked at is a part of
    for number, region in enumerate(painting.regions):
        del around[region.level :]
        repeats = bool(around) and visible[number] > _SAME * visible[around[-1]]
        around.append(number)
        if repeats or visible[number] < max(LEAST_PIXELS, LEAST_VISIBLE * region.pixels):
            continue
        mask = painting.mask(number)
        window = window_of(mask)
        kept.append(number)
        crops.append(mask[window.slices])
        corners.append((region.window[0] + window.top, region.window[2] + window.left))
    codes = rle.encode_crops(crops, corners, info.size)
    first = info.image_id << _RECORD_BITS
    records = []
    for place, number in enumerate(kept):
        (top, left), (height, width) = corners[place], crops[place].shape
        region = painting.regions[number]
        shown = painting.image[top : top + height, left : left + width]
        mean, deviation = cv2.meanStdDev(shown, mask=crops[place].astype(np.uint8))
        own: dict[str, Any] = {"level": LEVELS[region.level], "labels": [region.name]}
        if deviation.max() < _EVEN:
            own["labels"].append(f"{colour_name(mean[:, 0].tolist())} {region.name}")
        records.append(
            Record(
                id=first + place,
                bbox=[float(left), float(top), float(width), float(height)],
                area=int(visible[number]),
                segmentation=codes[place],
                predicted_iou=1.0,
                stability_score=1.0,
                crop_box=[0, 0, info.width, info.height],
                point_coords=[],
                samkit=own,
            )
        )
    return records
