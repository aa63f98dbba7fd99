"""Why an album or a file is treated as it is: one code each, the same in lines, JSON and docs."""

from enum import StrEnum
from typing import Self

__all__ = ["Reason"]


class Reason(StrEnum):
    """A stable code (its value) with the sentence that explains it (`text`)."""

    text: str

    def __new__(cls, code: str, text: str) -> Self:
        """Make a member from its code and its sentence."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member

    # Why an album is worked on.
    NO_COVER = "no-cover", "no cover yet"
    FORCED = "forced", "has a cover, replaced because of --force"
    FILLED = "filled", "the album's own picture goes into the tracks that lack it"

    ASKED = "asked", "named on the command line"

    # Why an album is left alone.
    HAS_ART = "has-art", "already has a cover"
    PARTIAL_ART = "partial-art", "some tracks have a cover and some lack it: see --fill and --force"
    LIMIT = "limit", "past --limit"
    NOTHING_HEARD = "nothing-heard", "none of its tracks could be decoded"

    OUTPUT_EXISTS = "output-exists", "its output is already there: see --force"

    # What happened to a file.
    WRITTEN = "written", "the cover is in the file"
    EQUAL = "equal", "already holds this very picture"
    SIDECAR_EXISTS = "sidecar-exists", "a cover file is already there and is never overwritten"
    NOT_AUDIO = "not-audio", "no audio file, whatever its name says"
    UNREADABLE = "unreadable", "cannot be opened or its tags cannot be parsed"
    UNDECODABLE = "undecodable", "its audio cannot be decoded"
    TOO_LARGE = "too-large", "the picture is larger than this container can hold"
    READ_ONLY = "read-only", "the file or its folder cannot be written to"
    NO_SPACE = "no-space", "not enough free space for a safe copy"
    HARD_LINKED = "hard-linked", "has several hard links: see --hardlinks"
    CHANGED = "changed", "changed by someone else meanwhile"
    NOT_VERIFIED = "not-verified", "the edited copy failed verification and was thrown away"
    IO_ERROR = "io-error", "the system reported an error"
