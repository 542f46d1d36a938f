"""The one family of errors that a user of samkit can cause.

`str(error)` is a single sentence that names the thing, says what is wrong with it and what to do.
Whoever catches `SamkitError` has caught everything that is not a bug of ours.
"""


class SamkitError(Exception):
    """Base of the family; raised itself where no narrower class fits (a full disk, say)."""


class UsageError(SamkitError):
    """Wrong arguments or an input that cannot be used at all; the command line exits with 2."""


class ImageError(SamkitError):
    """A picture that cannot be read, is too large or has a kind of pixels we refuse."""


class CheckpointError(SamkitError):
    """A weight file that is damaged, hostile, unknown or does not fit the model asked for."""


class FormatError(SamkitError):
    """Data in a file format of ours or of others (RLE, SA-1B, COCO) that breaks the format."""


class DownloadError(SamkitError):
    """A download that failed, was cut short or has the wrong hash."""
