"""Replace the attachments of a Matroska file, and update the index that refers to them.

New attachments take the place of the old ones or other free space, or go to the end of the segment,
where players find them by the SeekHead. So nothing else moves. mkvpropedit does the same. In a
stream, whose clusters no index refers to, they are inserted before the first cluster.

Source: RFC 9559.
"""

from collections.abc import Iterator
from typing import BinaryIO

from covergen.library.formats.ebml import (
    CRC,
    VOID,
    Element,
    children,
    element,
    master,
    number,
    number_bytes,
    parts_of,
    size_bytes,
    void,
)
from covergen.library.formats.embedded_picture import TooLargeError
from covergen.library.formats.matroska_segment import (
    ATTACHMENTS,
    CLUSTER,
    CUES,
    INFO,
    SEEK_HEAD,
    TRACKS,
    Segment,
)
from covergen.library.formats.splice import splice

_SEEK, _SEEK_ID, _SEEK_POSITION = (bytes.fromhex(name) for name in ("4dbb", "53ab", "53ac"))
_FOUND_ANYWAY = (INFO, TRACKS)  # always before the first cluster

_Place = tuple[int, int]


def index_entries(file: BinaryIO, segment: Segment) -> object:
    """Return the entries of the SeekHeads, except those that a change of attachments may change."""
    own = (ATTACHMENTS, *_FOUND_ANYWAY)
    heads = segment.bodies(file, SEEK_HEAD)
    return [entry for head in heads for entry in _seeks(head) if entry[0] not in own]


def replace_attachments(file: BinaryIO, segment: Segment, attachments: bytes) -> None:
    """Replace the attachments; b"" removes them.

    Raises TooLargeError if no index of the file can refer to attachments.
    """
    gaps, end = _gaps(segment), _end(file, segment)
    tail = next((gap for gap in gaps if gap[1] == end), (end, end))
    place = next((gap for gap in gaps if gap != tail and _fits(attachments, gap)), tail)
    changes = {gap: void(gap[1] - gap[0]) for gap in gaps} | {tail: b"", place: attachments}
    if place != tail:
        changes[place] += void(place[1] - place[0] - len(attachments))
    position = place[0] - segment.body if attachments else None
    for head in segment.all(SEEK_HEAD):
        room = head.start, _end_of_room(segment, head)
        changes[room] = _seek_head(head.read(file), room[1] - room[0], position)
        position = None  # only in the first index
    for (start, stop), data in sorted(changes.items(), reverse=True):
        splice(file, start, stop, data)
    _resize(file, segment, len(changes[tail]) - (tail[1] - tail[0]))


def _end(file: BinaryIO, segment: Segment) -> int:
    """Return where to put attachments that fit nowhere else."""
    first = next((cluster.start for cluster in segment.all(CLUSTER)), segment.end)
    seeks = [position for head in segment.bodies(file, SEEK_HEAD) for _, position in _seeks(head)]
    if not segment.all(CUES) and all(segment.body + position <= first for position in seeks):
        return first
    if segment.size is None or not seeks:
        raise TooLargeError("its index cannot refer to a cover; rewrite it with mkvmerge")
    return segment.end


def _gaps(segment: Segment) -> list[_Place]:
    """Return the places of old attachments and free space, except the room of the SeekHeads."""
    gaps: list[_Place] = []
    is_room = False
    for item in segment.elements:
        is_room = item.id == SEEK_HEAD or (is_room and item.id == VOID)
        if item.id == ATTACHMENTS or (item.id == VOID and not is_room):
            start = gaps.pop()[0] if gaps and gaps[-1][1] == item.start else item.start
            gaps.append((start, item.end))
    return gaps


def _fits(data: bytes, gap: _Place) -> bool:
    left = gap[1] - gap[0] - len(data)
    return bool(data) and (left == 0 or left >= 2)  # the size of the smallest Void element


def _end_of_room(segment: Segment, head: Element) -> int:
    end = head.end
    for item in segment.elements:
        if item.start == end and item.id == VOID:
            end = item.end
    return end


def _seeks(head: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield ID and position of each entry."""
    for entry in parts_of(head, _SEEK):
        parts = {name: body for name, body, _ in children(entry)}
        yield parts.get(_SEEK_ID, b""), number(parts.get(_SEEK_POSITION, b""))


def _seek_head(old: bytes, room: int, position: int | None) -> bytes:
    """Return a SeekHead and free space, with the new position of the attachments if any.

    Leaves out what players find anyway if it does not fit otherwise. Raises TooLargeError.
    """
    seeks = [entry for entry in _seeks(old) if entry[0] != ATTACHMENTS]
    if position is not None:
        seeks.append((ATTACHMENTS, position))
    needed = [entry for entry in seeks if entry[0] not in _FOUND_ANYWAY]
    for kept in (seeks, needed):
        parts = [
            element(_SEEK, element(_SEEK_ID, name) + element(_SEEK_POSITION, number_bytes(at)))
            for name, at in kept
        ]
        data = master(SEEK_HEAD, parts, crc=bool(parts_of(old, CRC)))
        left = room - len(data)
        if left == 1:  # too small for a Void element: use a longer size field
            _, body, _ = next(children(data))
            return element(SEEK_HEAD, body, total=room)
        if left >= 0:
            return data + void(left)
    raise TooLargeError("its index has no room for a cover; rewrite it with mkvmerge")


def _resize(file: BinaryIO, segment: Segment, by: int) -> None:
    """Update the segment's size, in a longer field if necessary, which moves no position."""
    if segment.size is None:
        return
    try:
        data = size_bytes(segment.size + by, segment.body - segment.size_at)
    except OverflowError:
        data = size_bytes(segment.size + by, 8)
    splice(file, segment.size_at, segment.body, data)
