"""What all writers share: an image with its masks goes in, files that are whole come out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from samkit.datasets.document import check_name
from samkit.datasets.losses import Losses
from samkit.datasets.pairs import Blob
from samkit.datasets.payload import ImageLike, Payload, payload_of
from samkit.errors import UsageError
from samkit.files import atomic_write


class PairWriter(ABC):
    """Writes images with their masks into a folder, one by one; use it in a `with` block.

    `losses` counts what the format could not hold of what was written so far; see `losses`.
    """

    def __init__(self, folder: str | Path) -> None:
        """folder: is made where it is missing."""
        self.folder = Path(folder)
        self.losses = Losses()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def write(
        self,
        image: ImageLike,
        records: Iterable[Mapping[str, Any]],
        *,
        name: str | None = None,
        size: tuple[int, int] | None = None,
        image_id: int | None = None,
    ) -> Path:
        """Write an image's masks and return what was written: the file, or the folder.

        image: a photograph's file, or (H, W, 3) uint8 pixels, which become a PNG.
        records: records, or masks as the automatic generator returns them (they get ids).
        name: relative path without suffix; by itself the stem of the file's name.
        size: (H, W) of the upright image, for a file; found out where it is not given.
        image_id: of the formats that number images; by itself made of the name.
        Raises FormatError for a record that breaks the format, UsageError for a name that cannot be
        one, or where another tool's files stand.
        """
        payload = payload_of(image, records, name=name, size=size, image_id=image_id)
        check_name(payload.name)
        return self.put(payload)

    @abstractmethod
    def put(self, payload: Payload) -> Path:
        """The writing itself, of a pair that has been checked."""

    def close(self) -> None:  # noqa: B027
        """Finish what all images share, where there is such a thing."""


def copy_image(payload: Payload, target: Path, *, ours: bool) -> None:
    """Copy the image of a pair to `target`, byte for byte; pixels are written as PNG.

    ours: whether what stands there was written by us and may be replaced. Raises UsageError where
    it was not and differs.
    """
    if isinstance(payload.image, Blob) and payload.image.is_file(target):
        return
    data = payload.image_bytes()
    if target.exists() and not ours and target.read_bytes() != data:
        raise UsageError(f"{target} is there already and is another image; choose another folder.")
    with atomic_write(target) as file:
        file.write(data)
