"""The compressed string of a COCO RLE (COCO API, `maskApi.c`: rleToString, rleFrString).

From the fourth run on, a run is written as its difference from the run two places before. A number
goes in groups of five bits, lowest first, as the character 48 + group; bit 32 says that another
group follows, and the highest bit of the last group is the sign.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from samkit.errors import FormatError
from samkit.masks.runs import Ints

_LONGEST = 7  # groups: 35 bits, more than a run of 32 bits and a sign need
_LIMITS = 1 << (5 * np.arange(1, _LONGEST + 1) - 1)  # of magnitudes that fit in 1, 2, … groups


def write(counts: Sequence[Ints]) -> list[str]:
    """Strings of many run-length arrays at once."""
    if not counts:
        return []
    values = np.concatenate([_differences(lengths) for lengths in counts])
    magnitudes = values ^ (values >> 63)
    groups = np.searchsorted(_LIMITS, magnitudes, side="right") + 1
    ends = np.cumsum(groups)
    place = np.arange(ends[-1]) - np.repeat(ends - groups, groups)
    characters = (np.repeat(values, groups) >> (5 * place)) & 31
    characters |= 32
    characters[ends - 1] &= 31
    text = (characters + 48).astype(np.uint8).tobytes().decode("ascii")
    stops = [0, *ends[np.cumsum([len(lengths) for lengths in counts]) - 1].tolist()]
    return [text[start:stop] for start, stop in pairwise(stops)]


def read(text: str | bytes, most: int) -> Ints:
    """Run lengths of a string from anywhere; they may be negative or not fit, which is not judged.

    most: the largest number of runs that makes sense. Raises FormatError for an empty string, other
    characters than 48 … 111, a number that does not end or is too long, and too many runs.
    """
    try:
        data = text.encode("ascii") if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError as error:
        raise FormatError("RLE counts hold a character that does not belong there.") from error
    codes = np.frombuffer(data, np.uint8)
    if not 0 < len(codes) <= _LONGEST * most:
        raise FormatError(f"RLE counts of {len(codes)} characters cannot fit the size of the mask.")
    if codes.min() < 48 or codes.max() > 111:
        raise FormatError("RLE counts hold a character that does not belong there.")
    ends = np.flatnonzero((codes - 48) < 32)
    if len(ends) == 0 or ends[-1] != len(codes) - 1:
        raise FormatError("RLE counts end in the middle of a number; the string was cut short.")
    groups = np.diff(ends, prepend=-1)
    if groups.max() > _LONGEST or len(groups) > most:
        raise FormatError("RLE counts hold a number that is too long or too many numbers.")
    starts = ends - groups + 1
    place = np.arange(len(codes)) - np.repeat(starts, groups)
    bits = (codes.astype(np.int64) - 48) & 31
    values = np.add.reduceat(bits << (5 * place), starts)
    values -= np.where(bits[ends] & 16, np.int64(1) << (5 * groups), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _differences(lengths: Ints) -> Ints:
    values = lengths.copy()
    values[3:] -= lengths[1:-2]
    return values
