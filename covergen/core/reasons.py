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
    BROKEN_COVER = "broken-cover", "what it has for a cover is empty or no picture"
    FORCED = "forced", "has a cover, replaced because of --force"
    FILLED = "filled", "the album's own picture goes into the tracks that lack it"

    RESUMED = "resumed", "covergen's own cover goes into the tracks that lack it"
    ASKED = "asked", "named on the command line"
    HOLDS_OWN = "holds-own", "holds a cover of covergen's"
    IN_RUN = "in-run", "written by the run that is undone"
    KEPT = "kept", "painted by an earlier run of this preview"

    # Why an album is left alone.
    HAS_ART = "has-art", "already has a cover"
    PARTIAL_ART = "partial-art", "some tracks have a cover and some lack it: see --fill and --force"
    SHARED_FOLDER = "shared-folder", "a cover file would be that of other albums too"
    LIMIT = "limit", "past --limit"
    FINISHED = "finished", "done before this run was stopped"
    NOT_PAINTED = "not-painted", "the preview was stopped before it was painted"
    REJECTED = "rejected", "rejected in the preview"
    RETRY = "retry", "marked for another try: see --retry"
    REPAINTED = "repainted", "painted again since it was marked: look at it, and choose"
    NOTHING_HEARD = "nothing-heard", "none of its tracks could be decoded"

    OUTPUT_EXISTS = "output-exists", "its output is already there: see --force"
    COLLECTED = "collected", "its pairs are already in the dataset"
    PAINTED_COVER = "painted-cover", "its cover was painted by covergen: see --include-painted"
    OTHER_LICENCE = "other-licence", "its licence is none of those asked for: see --licence"
    NO_DOWNLOAD = "no-download", "its artist permits no download"
    BAD_COVER = "bad-cover", "none of its covers can be read"

    # What happened to a file.
    IGNORED = "ignored", "passed over, as an ignore file says: see -v"
    WRITTEN = "written", "the cover is in the file"
    MADE = "made", "the file was made"
    EQUAL = "equal", "already holds this very picture"
    UNDONE = "undone", "as it was before the run"
    STRIPPED = "stripped", "covergen's own cover is taken out"
    NOT_OWN = "not-own", "holds no cover of covergen's"
    SIDECAR_EXISTS = "sidecar-exists", "a cover file is already there and is never overwritten"
    NOT_AUDIO = "not-audio", "no audio file, whatever its name says"
    UNREADABLE = "unreadable", "cannot be opened or its tags cannot be parsed"
    UNDECODABLE = "undecodable", "its audio cannot be decoded"
    TOO_LARGE = "too-large", "the picture is larger than this container can hold"
    READ_ONLY = "read-only", "the file or its folder cannot be written to"
    NO_SPACE = "no-space", "not enough free space for a safe copy"
    IN_USE = "in-use", "another program is still writing it"
    TOO_NEW = "too-new", "modified too recently: see --min-age"
    HARD_LINKED = "hard-linked", "has several hard links: see --hardlinks"
    UNFIT_COVER = "unfit-cover", "its painted cover is missing, damaged, or that of another album"
    BARE = "bare", "of a kind that cannot hold a cover"
    VIDEO = "video", "a video, which is covered if it is named outright"
    OUTSIDE = "outside", "lies outside of the library"
    CHANGED = "changed", "changed by someone else meanwhile"
    GONE = "gone", "is not there any more"
    NOT_VERIFIED = "not-verified", "the edited copy failed verification and was thrown away"
    NOT_GIVEN = "not-given", "the server does not give it"
    NOT_REACHED = "not-reached", "the server failed again and again"
    IRREVERSIBLE = "irreversible", "could not be undone, or no longer can"
    IO_ERROR = "io-error", "the system reported an error"

    # What is the matter with a file of a dataset.
    NO_PARTNER = "no-partner", "its cover or its sound is missing: no file has the same stem"
    SAME_STEM = "same-stem", "another file of its kind has the same stem, and is taken"
    NOT_A_PICTURE = "not-a-picture", "no picture, or too damaged to be opened"
    BAD_EMBEDDING = "bad-embedding", "no embedding, or one of another length than the others"
    SMALL_COVER = "small-cover", "it has fewer than 256 pixels on a side"
    NOT_SQUARE = "not-square", "clearly not square: training crops or stretches it"
    SHARED_COVER = "shared-cover", "another album has the very same picture"
