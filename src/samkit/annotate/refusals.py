"""Errors that a client can cause, with the status that HTTP has for them."""

from samkit.errors import SamkitError


class Refused(SamkitError):
    """A request that cannot be done; `str` is the one sentence that the client sees."""

    status = 400


class Forbidden(Refused):
    """The user's role does not allow it."""

    status = 403


class NotFound(Refused):
    """There is no such thing."""

    status = 404


class NotAllowedNow(Refused):
    """The state of the image does not allow it."""

    status = 409


class NotUsable(Refused):
    """The body has the right form but makes no sense here."""

    status = 422


class NotReady(Refused):
    """Something that the server needs is missing just now."""

    status = 503
