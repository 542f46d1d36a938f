"""The files of Pascal VOC: its palette, its XML of objects, and labelmap.txt with the classes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.pairs import Blob
from samkit.errors import FormatError

IMAGES, XMLS = "JPEGImages", "Annotations"
OBJECTS, CLASSES = "SegmentationObject", "SegmentationClass"
LABELMAP = "labelmap.txt"
VOID = 255
"""The value of borders and of what nobody marked: no mask."""

MOST = VOID - 1
CLASSES_2012 = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)

_LARGEST = 1 << 24  # bytes of a text
_UNFIT = re.compile("[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]+")
_BACKGROUND = "background"


@dataclass(frozen=True)
class VocObject:
    """One object of an image: its name, and its box as x0, y0, x1, y1 counted from 1."""

    name: str
    box: tuple[int, int, int, int] | None


def palette() -> list[int]:
    """VOC's colours, 256 x RGB: the bits of a number, spread over the three from the highest on."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (numbers >> (3 * bit + channel) & 1) << (7 - bit)
    flat: list[int] = colours.reshape(-1).tolist()
    return flat


def fitting(label: str) -> str:
    """A label as XML and labelmap.txt can hold it: no control characters, no colon, no # first."""
    words = _UNFIT.sub(" ", label).replace(":", ";").split()
    return re.sub("^#", "_", " ".join(words)) or "_"


def xml_of(file_name: str, size: tuple[int, int], objects: Sequence[VocObject]) -> bytes:
    """An image's XML; size: (H, W). The k-th object is the number k in SegmentationObject."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = fitting(file_name)
    sizes = ElementTree.SubElement(root, "size")
    for key, value in (("width", size[1]), ("height", size[0]), ("depth", 3)):
        ElementTree.SubElement(sizes, key).text = str(value)
    ElementTree.SubElement(root, "segmented").text = "1"
    for one in objects:
        element = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(element, "name").text = one.name
        if one.box is not None:
            box = ElementTree.SubElement(element, "bndbox")
            for key, value in zip(("xmin", "ymin", "xmax", "ymax"), one.box, strict=True):
                ElementTree.SubElement(box, key).text = str(value)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def read_xml(path: Path) -> list[str]:
    """The names of an image's objects, in order. Raises FormatError; entities are refused."""
    data = Blob(path).read(_LARGEST)
    if b"<!" in data.replace(b"<!--", b"") or b"\0" in data:  # also if hidden by UTF-16
        raise FormatError(f"{path} declares a document type, which is not read.")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise FormatError(f"{path} is not valid XML ({error}).") from error
    return [(element.findtext("name") or "").strip() for element in root.iter("object")]


def labelmap_text(names: Sequence[str]) -> str:
    """labelmap.txt: a line `name:r,g,b::` for each class in order, the background before them."""
    colours = np.array(palette()).reshape(256, 3)
    rows = [
        f"{name}:{','.join(map(str, colour))}::"
        for name, colour in zip([_BACKGROUND, *names], colours.tolist(), strict=False)
    ]
    return "\n".join(["# label:color_rgb:parts:actions", *rows]) + "\n"


def read_labelmap(path: Path) -> dict[int, str]:
    """Names of classes by the number that has their colour. Raises FormatError."""
    colours = np.array(palette()).reshape(256, 3).tolist()
    numbers = {tuple(colour): number for number, colour in enumerate(colours)}
    try:
        lines = Blob(path).read(_LARGEST).decode("utf-8-sig").splitlines()
        found = {}
        for line in lines:
            if line.strip() and not line.startswith("#"):
                name, colour = line.split(":")[:2]
                number = numbers.get(tuple(int(part) for part in colour.split(",")))
                if number not in (None, 0, VOID):
                    found[int(number)] = name
    except ValueError as error:
        raise FormatError(f"{path} is not a list of lines `name:r,g,b::`.") from error
    return found


def commonest(values: NDArray[np.int64]) -> int:
    """The commonest of some values from 0."""
    return int(np.bincount(values).argmax())
