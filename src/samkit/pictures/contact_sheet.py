"""Many pictures on one sheet, each with a caption."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from samkit.errors import UsageError

_PAPER = (250, 250, 250)
_INK = (32, 32, 36)


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]],
    captions: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    tile: int = 320,
    gap: int = 12,
) -> NDArray[np.uint8]:
    """Lay pictures out in rows, from left to right, each shrunk to fit a square of `tile` pixels.

    pictures: (H, W, 3) uint8 RGB each, of any sizes; small ones are not enlarged.
    captions: one line under each; what is too long ends in an ellipsis.
    columns: how many in a row; by itself about as many as make the sheet square, at most 6.
    Returns (H, W, 3) uint8. A row is as high as its highest picture. Raises UsageError where there
    is nothing to lay out, or captions and pictures differ in number.
    """
    if not pictures or tile < 1 or gap < 0 or (columns is not None and columns < 1):
        raise UsageError("A contact sheet needs at least one picture, one column and a tile size.")
    if captions is not None and len(captions) != len(pictures):
        raise UsageError(
            f"There are {len(pictures)} pictures but {len(captions)} captions; give one for each."
        )
    per_row = columns or min(6, int(np.ceil(np.sqrt(len(pictures)))))
    per_row = min(per_row, len(pictures))
    tiles = [_shrink(picture, tile) for picture in pictures]
    font = ImageFont.load_default(size=max(11, tile // 22))
    line = 0 if captions is None else round(font.getbbox("Ägjpy|")[3]) + 8
    starts = range(0, len(tiles), per_row)
    heights = [max(image.height for image in tiles[i : i + per_row]) for i in starts]
    sheet = Image.new(
        "RGB", (gap + per_row * (tile + gap), gap + sum(h + line + gap for h in heights)), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    top = gap
    for start, height in zip(starts, heights, strict=True):
        for index in range(start, min(start + per_row, len(tiles))):
            left = gap + (index - start) * (tile + gap)
            image = tiles[index]
            across, down = (tile - image.width) // 2, (height - image.height) // 2
            sheet.paste(image, (left + across, top + down))
            if captions is not None:
                text = _fit(captions[index], font, tile)
                room = tile - font.getlength(text)
                draw.text((left + room / 2, top + height + 3), text, fill=_INK, font=font)
        top += height + line + gap
    return np.asarray(sheet)


def _shrink(picture: NDArray[np.uint8], tile: int) -> Image.Image:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UsageError("A picture for a contact sheet must be an H x W x 3 array of uint8 (RGB).")
    image = Image.fromarray(picture)
    scale = tile / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _fit(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", room: int) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= room:
        return text
    low, high = 0, len(text)  # the longest beginning that fits with its ellipsis
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle].rstrip() + "…") <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"
