"""What lies in a tar, listed without trusting it and without unpacking anything."""

import tarfile
from pathlib import Path, PurePosixPath

from samkit.datasets.document import MAX_JSON_BYTES, is_plain_name
from samkit.datasets.pairs import MAX_IMAGE_BYTES, Blob
from samkit.errors import FormatError

_MAX_MEMBERS = 10_000_000


def list_tar(path: Path) -> tuple[dict[str, Blob], list[tuple[str, str]]]:
    """The files in an uncompressed tar, and (name, sentence) of members that are refused.

    Names are relative, with "/" between folders and without a leading "./". Refused are absolute
    names and those that lead out, links, devices, sparse files, names that come twice, and files
    too large for an image. A tar that ends too early gives what comes before. Folders are passed
    over. Raises FormatError where the file is no uncompressed tar.
    """
    found: dict[str, Blob] = {}
    refused: list[tuple[str, str]] = []
    try:
        end = path.stat().st_size
    except OSError as error:
        raise FormatError(f"Cannot read {path}: {error.strerror}; copy it there again.") from error
    try:
        tar = tarfile.open(path, "r:")  # noqa: SIM115, closed below
    except (tarfile.TarError, OSError, ValueError, RecursionError, OverflowError) as error:
        raise FormatError(f"{path} is not an uncompressed tar; unpack or copy it again.") from error
    with tar:
        before = -1
        for _ in range(_MAX_MEMBERS):
            try:
                member = tar.next()
            except (tarfile.TarError, OSError, ValueError, RecursionError, OverflowError) as error:
                refused.append((str(path), f"The tar is damaged from here on ({error})."))
                break
            if member is None:
                if not _ends_at(path, tar.offset):
                    refused.append((str(path), "The tar was cut short; copy or download it again."))
                break
            tar.members = []  # type: ignore[attr-defined]  # else it keeps every header
            if tar.offset <= before or member.size < 0:  # a size below zero would go round for ever
                refused.append((str(path), "The tar is damaged from here on (sizes below zero)."))
                break
            before = tar.offset
            if member.isdir():
                continue
            reason = _reason_against(member, found)
            if reason is None and member.offset_data + member.size > end:
                reason = "It was cut short."
            if reason is not None:
                refused.append((f"{path}:{member.name[:200]}", reason))
            else:
                name = _tidy(member.name)
                found[name] = Blob(path, member.offset_data, member.size, name)
    return found, refused


def _ends_at(path: Path, offset: int) -> bool:
    """Whether the block of zeros that ends a tar stands there."""
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _tidy(name: str) -> str:
    return PurePosixPath(name).as_posix()


def _reason_against(member: tarfile.TarInfo, found: dict[str, Blob]) -> str | None:
    """Why a member is not read, or None."""
    if not member.isreg() or member.issparse():
        return "It is a link, a device or a sparse file, which a store does not hold."
    if not all(map(is_plain_name, _tidy(member.name).split("/"))):
        return "Its name leads out of the tar or is no name of a file."
    if _tidy(member.name) in found:
        return "Its name comes twice; the first one counts."
    is_json = member.name.lower().endswith(".json")
    if member.size > (MAX_JSON_BYTES if is_json else MAX_IMAGE_BYTES):
        return "It is too large for an image or its records."
    return None
