"""The names of classes beside YOLO's labels: the little of YAML that such files are written in."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from samkit.datasets.pairs import Blob
from samkit.errors import FormatError, UsageError

DATA = "data.yaml"
CLASSES = "classes"
"""The stem of a file with the names, one in each line, which some put among the labels."""

_FILES = (DATA, "dataset.yaml", f"{CLASSES}.txt", "obj.names")
_LARGEST = 1 << 20  # bytes
_MOST = 100_000  # classes
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}|.)")
_ENTRY = re.compile(rf"""\s*(?:{_QUOTED.pattern}|[^,"'\[\]{{}}])*""")
_KEY = re.compile(r"^\s*(\d+)\s*:\s+(\S.*)$")


def find_names(folder: Path) -> dict[int, str]:
    """Names by class from data.yaml, dataset.yaml, classes.txt or obj.names in a folder, in its
    labels/ or in the one above; empty where there is none. Raises FormatError where such a file
    cannot be understood.
    """
    for place in (folder, folder / "labels", folder.absolute().parent):
        for name in _FILES:
            if (place / name).is_file():
                return read_names(place / name)
    return {}


def read_names(path: Path) -> dict[int, str]:
    """Names by class of one such file. Raises FormatError where it cannot be understood."""
    try:
        text = Blob(path).read(_LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a text of UTF-8.") from error
    lines = text.splitlines()
    if path.suffix != ".yaml":
        return dict(enumerate(line.strip() for line in lines if line.strip()))
    try:
        found = _from_yaml(lines)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{path}: The list of names cannot be understood ({error}).") from error
    if not all(0 <= number < _MOST for number in found):
        raise FormatError(f"{path} has numbers of classes that are not from 0 to {_MOST}.")
    return found


def data_yaml(names: Sequence[str]) -> str:
    """A data.yaml of images/ with these names, as ultralytics reads it."""
    rows = [f"  {number}: {quoted(name)}" for number, name in enumerate(names)]
    return "\n".join(["path: .", "train: images", "val: images", "names:", *rows]) + "\n"


def quoted(name: str) -> str:
    """A string in double quotes that YAML and JSON read alike."""
    plain = json.dumps(name, ensure_ascii=False)
    return "".join(c if c.isprintable() or ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in plain)


def _from_yaml(lines: Sequence[str]) -> dict[int, str]:
    """The value of `names:`: [a, b], {0: a, 1: b}, or a block of `- a` or `0: a`."""
    start = next((k for k, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        return {}
    first = _without_comment(lines[start].split(":", 1)[1]).strip()
    if first[:1] in ("[", "{"):
        text, number = first, start
        while not text.endswith("]" if first[0] == "[" else "}"):
            number += 1
            if number == len(lines):
                raise ValueError("it does not end")
            text += " " + _without_comment(lines[number]).strip()
        return _from_flow(text)
    if first:
        raise ValueError("it is no list")
    found: dict[int, str] = {}
    for line in lines[start + 1 :]:
        row = _without_comment(line).rstrip()
        if not row.strip():
            continue
        if item := re.match(r"^\s*-\s+(\S.*)$", row):
            found[len(found)] = _scalar(item[1])
        elif item := _KEY.match(row):
            if not row[0].isspace():
                break
            found[int(item[1])] = _scalar(item[2])
        elif not row[0].isspace():
            break
        else:
            raise ValueError(repr(row.strip()[:40]))
    return found


def _from_flow(text: str) -> dict[int, str]:
    entries, place, body = [], 0, text[1:-1]
    while place < len(body):
        entry = _ENTRY.match(body, place)
        assert entry is not None  # it matches the empty string too
        if entry.end() < len(body) and body[entry.end()] != ",":
            raise ValueError(repr(body[entry.end() :][:40]))
        entries.append(entry[0])
        place = entry.end() + 1
    entries = [entry for entry in entries if entry.strip()]
    if text[0] == "[":
        return dict(enumerate(map(_scalar, entries)))
    keys = [_KEY.match(entry) for entry in entries]
    if not all(keys):
        raise ValueError("a class has no number")
    return {int(key[1]): _scalar(key[2]) for key in keys if key}


def _scalar(text: str) -> str:
    value = text.strip()
    if value[:1] not in ("'", '"'):
        return value
    if _QUOTED.fullmatch(value) is None:
        raise ValueError(repr(value[:40]))
    if value[0] == "'":
        return value[1:-1].replace("''", "'")
    name: str = json.loads(_ESCAPE.sub(_as_json, value), strict=False)
    name.encode()  # no halves of characters
    return name


def _as_json(escape: re.Match[str]) -> str:
    """An escape of YAML as one of JSON, which lacks those with x and U."""
    text = escape[0]
    return json.dumps(chr(int(text[2:], 16)))[1:-1] if text[1] in "xU" and text[2:] else text


def _without_comment(line: str) -> str:
    """The line up to a # that begins a comment, which none within quotes does."""
    quote = ""
    for place, character in enumerate(line):
        if quote:
            if character == quote and not (quote == '"' and _backslashes(line, place) % 2):
                quote = ""
        elif character in "\"'" and (place == 0 or line[place - 1] in " [{,:"):
            quote = character
        elif character == "#" and (place == 0 or line[place - 1].isspace()):
            return line[:place]
    return line


def _backslashes(line: str, place: int) -> int:
    return place - len(line[:place].rstrip("\\"))


class ClassList:
    """Names of classes in the order in which they were first met, kept in a file while it grows."""

    def __init__(self, names: Mapping[int, str]) -> None:
        """names: those that are numbered already. Raises UsageError where they are not numbered
        from 0 without gaps, or a name comes twice.
        """
        self._numbers = {name: number for number, name in sorted(names.items())}
        if list(self._numbers.values()) != list(range(len(names))):
            raise UsageError(
                "The list of classes in the folder has gaps or names that come twice; choose "
                "another folder."
            )

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def names(self) -> list[str]:
        """All names, in order."""
        return list(self._numbers)

    def add(self, names: Sequence[str]) -> bool:
        """Give numbers to those that have none; whether there were such."""
        before = len(self._numbers)
        for name in names:
            self._numbers.setdefault(name, len(self._numbers))
        return len(self._numbers) > before

    def number(self, name: str) -> int:
        """The number of a name that was added."""
        return self._numbers[name]
