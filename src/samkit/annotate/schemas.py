"""What clients may send: every field with its type and limits; unknown fields are refused."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from samkit.annotate import limits
from samkit.annotate.access import Role

Id = Annotated[str, Field(pattern=limits.ID)]
Version = Annotated[int, Field(ge=0, le=2**31 - 1)]
Seconds = Annotated[float, Field(ge=0, le=limits.MAX_SECONDS)]
Label = Annotated[
    str, Field(min_length=1, max_length=limits.MAX_LABEL), AfterValidator(limits.checked_text)
]
Note = Annotated[str, Field(max_length=limits.MAX_NOTE), AfterValidator(limits.checked_text)]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=limits.MAX_NOTE),
    AfterValidator(limits.checked_text),
]
Name = Annotated[
    str, Field(min_length=1, max_length=limits.MAX_NAME), AfterValidator(limits.checked_text)
]
Stage = Literal["manual", "suggested", "accepted", "imported"]


class Message(BaseModel):
    """What all bodies share."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Value(Message):
    """The fields of an instance that a client decides on."""

    rle: Annotated[dict[str, Any], BeforeValidator(limits.checked_rle)]
    labels: Annotated[list[Label], Field(max_length=limits.MAX_LABELS)] = []
    stage: Stage = "manual"
    prompts: Annotated[list[Any], AfterValidator(limits.checked_prompts)] = []
    model: Name | None = None
    predicted_iou: float | None = None
    seconds: Seconds = 0.0
    hidden: bool = False
    locked: bool = False
    source: Annotated[dict[str, Any] | None, AfterValidator(limits.checked_source)] = None
    """What an imported record said besides, for whoever exports it again."""


class SentValue(Value):
    """An instance as a client may send it back whole; the server sets the other three itself."""

    id: Id | None = None
    version: int | None = None
    editor: Name | None = None

    def kept(self) -> dict[str, Any]:
        """What is stored."""
        absent = {"source"} if self.source is None else set()
        return self.model_dump(include=set(Value.model_fields) - absent)


class Operation(Message):
    """One change of one instance."""

    op: Id
    kind: Literal["put", "delete"]
    instance: Id
    base: Version
    value: SentValue | None = None


class Operations(Message):
    """Changes of one image, in their order."""

    client: Id
    operations: Annotated[list[Operation], Field(min_length=1, max_length=limits.MAX_OPERATIONS)]


class After(Message):
    """Which image comes before the wanted one."""

    after: Id | None = None


class Take(Message):
    """Whether an image is taken from whoever works on it."""

    over: bool = False


class Empty(Message):
    """Nothing."""


class Change(Message):
    """A change of an image's state."""

    op: Id
    base: Version
    """Of the image, as its sender saw it."""


class Submit(Change):
    """The image is done."""

    seconds: Seconds = 0.0


class Skip(Change):
    """The image is left out, and why."""

    reason: Reason
    seconds: Seconds = 0.0


class Review(Change):
    """A reviewer's word."""

    decision: Literal["accept", "reject"]
    comment: Note = ""


class NewUser(Message):
    """A person who gets a token."""

    name: Name
    role: Role


class NewExport(Message):
    """The format to export in."""

    format: Annotated[str, Field(max_length=40)]
