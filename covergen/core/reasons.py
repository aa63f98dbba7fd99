"""The reason codes for albums and files, shared by text output, JSON and the documentation.

The command line adds the options to see, in `covergen.cli.output.lines`.
"""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A stable code (its value) and the phrase that explains it (`text`).

    `plural` is the phrase for several albums or files, where it differs.
    """

    text: str
    plural: str

    def __new__(cls, code: str, text: str, plural: str = "") -> Self:
        """Create a member from its code and its explanation."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.text = text
        member.plural = plural or text
        return member

    # Why an album is processed.
    NO_COVER = "no-cover", "no cover yet"
    BROKEN_COVER = (
        "broken-cover",
        "its cover is empty or not an image",
        "their covers are empty or not images",
    )
    FORCED = "forced", "has a cover, which is replaced", "have covers, which are replaced"
    FILLED = (
        "filled",
        "the album's picture is added to the tracks without one",
        "their album's picture is added to the tracks without one",
    )

    RESUMED = "resumed", "covergen's cover is added where it is missing"
    ASKED = "asked", "named on the command line"
    HOLDS_OWN = "holds-own", "contains a cover by covergen", "contain a cover by covergen"
    HOLDS_ARTIST = (
        "holds-artist",
        "contains a picture of the artist by covergen",
        "contain a picture of the artist by covergen",
    )
    IN_RUN = "in-run", "written by the run being undone"
    KEPT = "kept", "painted by an earlier run of this preview"

    # Why an album is skipped.
    HAS_ART = "has-art", "already has a cover", "already have a cover"
    PARTIAL_ART = "partial-art", "some tracks have a cover and some do not"
    SHARED_FOLDER = (
        "shared-folder",
        "the folder contains other albums, so it gets no cover file",
        "their folder contains other albums, so they get no cover file",
    )
    LIMIT = "limit", "beyond the limit"
    FINISHED = "finished", "finished before the run was stopped"
    NOT_PAINTED = (
        "not-painted",
        "the preview was stopped before this album was painted",
        "the preview was stopped before these albums were painted",
    )
    REJECTED = "rejected", "rejected in the preview"
    RETRY = "retry", "marked for another try"
    REPAINTED = (
        "repainted",
        "repainted since it was marked: review it and choose",
        "repainted since they were marked: review them and choose",
    )
    NOTHING_HEARD = (
        "nothing-heard",
        "none of its tracks could be decoded",
        "none of their tracks could be decoded",
    )

    OUTPUT_EXISTS = "output-exists", "its output already exists", "their outputs already exist"
    COLLECTED = (
        "collected",
        "its pairs are already in the dataset",
        "their pairs are already in the dataset",
    )
    PAINTED_COVER = (
        "painted-cover",
        "its cover was painted by covergen",
        "their covers were painted by covergen",
    )
    OTHER_LICENSE = (
        "other-license",
        "its license is not one of those requested",
        "their license is not one of those requested",
    )
    NO_DOWNLOAD = (
        "no-download",
        "its artist does not allow downloads",
        "their artists do not allow downloads",
    )
    BAD_COVER = "bad-cover", "none of its covers can be read", "none of their covers can be read"

    # What happened to a file.
    IGNORED = "ignored", "excluded by an ignore file"
    WRITTEN = "written", "new cover written"
    MADE = "made", "created"
    EQUAL = "equal", "already contains this exact picture", "already contain this exact picture"
    UNDONE = "undone", "restored to the state before the run"
    STRIPPED = "stripped", "covergen's cover was removed"
    NOT_OWN = "not-own", "contains no cover by covergen", "contain no cover by covergen"
    SIDECAR_EXISTS = "sidecar-exists", "a cover file already exists and is never overwritten"
    NOT_AUDIO = (
        "not-audio",
        "not an audio file, despite its name",
        "not audio files, despite their names",
    )
    UNREADABLE = (
        "unreadable",
        "cannot be opened or its tags cannot be parsed",
        "cannot be opened or their tags cannot be parsed",
    )
    UNDECODABLE = "undecodable", "its audio cannot be decoded", "their audio cannot be decoded"
    TOO_LARGE = (
        "too-large",
        "the picture is larger than this container can hold",
        "the picture is larger than these containers can hold",
    )
    READ_ONLY = (
        "read-only",
        "the file or its folder is not writable",
        "the files or their folders are not writable",
    )
    NO_SPACE = "no-space", "not enough free space for a safe copy"
    IN_USE = (
        "in-use",
        "another program is still writing to it",
        "another program is still writing to them",
    )
    TOO_NEW = "too-new", "modified too recently"
    HARD_LINKED = "hard-linked", "has several hard links", "have several hard links"
    UNFIT_COVER = (
        "unfit-cover",
        "its painted cover is missing, damaged or from another album",
        "their painted covers are missing, damaged or from other albums",
    )
    BARE = "bare", "of a kind that cannot hold a cover"
    VIDEO = (
        "video",
        "a video; name the file itself to include it",
        "videos; name the files themselves to include them",
    )
    OUTSIDE = "outside", "outside the library"
    CHANGED = "changed", "changed by another program or run in the meantime"
    GONE = "gone", "no longer exists", "no longer exist"
    NOT_VERIFIED = (
        "not-verified",
        "the edited copy failed verification and was discarded",
        "the edited copies failed verification and were discarded",
    )
    NOT_GIVEN = "not-given", "the server refused to send it", "the server refused to send them"
    NOT_REACHED = "not-reached", "the server failed repeatedly"
    IRREVERSIBLE = "irreversible", "could not be undone, or no longer can be"
    IO_ERROR = "io-error", "the system reported an error"

    # Problems with the files of a dataset.
    NO_PARTNER = (
        "no-partner",
        "its cover or audio is missing: no other file has the same stem",
        "their cover or audio is missing: no other file has the same stem",
    )
    SAME_STEM = "same-stem", "another file of the same kind and stem is used instead"
    NOT_A_PICTURE = (
        "not-a-picture",
        "not a picture, or too damaged to open",
        "not pictures, or too damaged to open",
    )
    BAD_EMBEDDING = (
        "bad-embedding",
        "not an embedding, or not of the same length as the others",
        "not embeddings, or not of the same length as the others",
    )
    SMALL_COVER = "small-cover", "smaller than 256 pixels on a side"
    NOT_SQUARE = "not-square", "clearly not square: training crops or stretches it"
    LONG_CAPTION = (
        "long-caption",
        "its caption is longer than Stable Diffusion's text encoders read",
        "their captions are longer than Stable Diffusion's text encoders read",
    )
    SHARED_COVER = "shared-cover", "another album has the same picture"
