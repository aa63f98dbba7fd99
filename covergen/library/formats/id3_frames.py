"""Parse ID3v2 tags to raw frames, and join them again.

Source: ID3v2.2.0, ID3v2.3.0, ID3v2.4.0 (id3.org).
"""

import re
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from covergen.library.formats.embedded_picture import TooLargeError
from covergen.library.formats.id3_places import from_synchsafe, id3_size, to_synchsafe
from covergen.library.formats.splice import padding

_MAX_BYTES = 1 << 28
_TOO_LARGE = "the cover does not fit into an ID3v2 tag"
UNSYNCHRONISED, _EXTENDED, _EXPERIMENTAL = 0x80, 0x40, 0x20

_COMPRESSED = {3: 0x80, 4: 0x08}  # in the second byte of a frame's flags
_MAX_DECOMPRESSED = 32 << 20
_MAX_FRAMES = 10_000
_MAX_COPIED = 1 << 34  # mutagen copies the rest of the tag for each frame

_NAME = re.compile(rb"[A-Z][A-Z0-9]{2}[A-Z0-9 \0]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A raw frame: a name of 3 bytes (2.2) or 4, 2 bytes of flags, and the body."""

    name: bytes
    flags: bytes = b"\0\0"
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag as raw frames. `tail` is damaged data at the end, which is kept as it is."""

    version: int
    flags: int = 0
    frames: tuple[Frame, ...] = ()
    tail: bytes = b""


def check_tag_cost(data: bytes) -> None:
    """Raise OverflowError for a tag that mutagen would take far too long to parse."""
    tag = parse_tag(data)
    if len(tag.frames) * len(data) > _MAX_COPIED:
        raise _too_many_frames()
    packed = (f.body for f in tag.frames if f.flags[1] & _COMPRESSED.get(tag.version, 0))
    room = _MAX_DECOMPRESSED
    for body in packed:
        room -= max(_decompressed_size(data, room) for data in _compressed_candidates(body))
        if room <= 0:
            raise OverflowError("the ID3 tag decompresses to too much data")


def check_header(data: bytes) -> None:
    """Raise ValueError for a damaged header, or one of an unknown version."""
    if not 10 <= id3_size(data[:10]) <= len(data):
        raise ValueError("the ID3 tag is damaged")
    version, flags = data[3], data[5]
    if version not in (2, 3, 4) or (version == 2 and flags & 0x40):
        raise ValueError(f"ID3v2.{version} with flags {flags:#04x} is not supported")


def parse_tag(data: bytes) -> Tag:
    """Parse a whole tag. Raises ValueError or struct.error if it is damaged."""
    check_header(data)
    version, flags = data[3], data[5]
    body = data[10 : 10 + from_synchsafe(data[6:10])]
    if version < 4 and flags & UNSYNCHRONISED:
        body = _resynchronised(body)
    if version > 2 and flags & _EXTENDED:
        body = body[_extended_header_size(version, body) :]
    kept = {2: 0, 3: _EXPERIMENTAL, 4: _EXPERIMENTAL | UNSYNCHRONISED}[version]
    frames, tail = _split_frames(version, body)
    return Tag(version=version, flags=flags & kept, frames=frames, tail=tail)


def _split_frames(version: int, body: bytes) -> tuple[tuple[Frame, ...], bytes]:
    if version == 2:
        return _split(body, 3, lambda size: int.from_bytes(size, "big"))
    plain = _split(body, 4, lambda size: int.from_bytes(size, "big"))
    if version == 3:
        return plain
    # iTunes used to write plain sizes instead of synchsafe ones into 2.4 tags.
    synchsafe = _split(body, 4, from_synchsafe)
    return plain if _is_sound(*plain) and not _is_sound(*synchsafe) else synchsafe


def _is_sound(frames: Iterable[Frame], tail: bytes) -> bool:
    return not tail and all(_NAME.fullmatch(frame.name) for frame in frames)


def _split(
    body: bytes, name_size: int, size_of: Callable[[bytes], int]
) -> tuple[tuple[Frame, ...], bytes]:
    """Split into complete frames and the remaining bytes, without trailing zeros."""
    frames: list[Frame] = []
    at = 0
    head = 6 if name_size == 3 else 10
    while body[at : at + name_size].strip(b"\0"):
        name, size = body[at : at + name_size], size_of(body[at + name_size : at + 2 * name_size])
        end = at + head + size
        if size < 0 or end > len(body):
            break
        flags = body[at + 8 : at + 10] if head == 10 else b"\0\0"
        if len(frames) == _MAX_FRAMES:
            raise _too_many_frames()
        frames.append(Frame(name=name, flags=flags, body=body[at + head : end]))
        at = end
    return tuple(frames), body[at:].rstrip(b"\0")


def _too_many_frames() -> OverflowError:
    return OverflowError("the ID3 tag has too many frames")


def _resynchronised(data: bytes) -> bytes:
    # Some taggers set the flag without unsynchronising the data.
    if re.search(rb"\xff(?:[\xe0-\xff]|\Z)", data):
        return data
    return data.replace(b"\xff\0", b"\xff")


def unsynchronised(data: bytes) -> bytes:
    """Escape what looks like the start of MPEG audio."""
    return re.sub(rb"\xff(?=[\xe0-\xff\0]|\Z)", b"\xff\0", data)


def _extended_header_size(version: int, body: bytes) -> int:
    # Some taggers set the flag without writing the header.
    if re.match(rb"[A-Z][A-Z0-9]{3}", body):
        return 0
    return from_synchsafe(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4], "big")


def _compressed_candidates(body: bytes) -> Iterable[bytes]:
    """Yield where compressed data may begin: after its size, or immediately in some files."""
    for data in (body, body.replace(b"\xff\0", b"\xff")):
        yield from (data, data[4:])


def _decompressed_size(data: bytes, limit: int) -> int:
    """Return the decompressed size, at most `limit`; 0 if the data is not compressed."""
    with suppress(zlib.error):
        return len(zlib.decompressobj().decompress(data, limit))
    return 0


def has_frames(tag: Tag) -> bool:
    """Whether a tag has frames, or damaged data in their place."""
    return bool(tag.frames or tag.tail)


def padded_tag(tag: Tag, *, available: int) -> bytes:
    """Join a tag with padding that fits in `available` bytes. Raises TooLargeError."""
    try:
        # Padding would become part of a truncated frame.
        room = 0 if tag.tail else padding(available - len(join_tag(tag, 0)))
        data = join_tag(tag, room)
    except OverflowError as error:
        raise TooLargeError(_TOO_LARGE) from error
    if len(data) > _MAX_BYTES:
        raise TooLargeError(_TOO_LARGE)
    return data


def join_tag(tag: Tag, room: int) -> bytes:
    """Join a tag, with `room` bytes of padding."""
    body = b"".join(_frame_bytes(tag.version, tag.frames)) + tag.tail + bytes(room)
    return b"ID3" + bytes([tag.version, 0, tag.flags]) + to_synchsafe(len(body)) + body


def _frame_bytes(version: int, frames: Iterable[Frame]) -> Iterable[bytes]:
    for frame in frames:
        size = len(frame.body)
        if version == 2:
            yield frame.name + size.to_bytes(3, "big") + frame.body
        else:
            packed = to_synchsafe(size) if version == 4 else size.to_bytes(4, "big")
            yield frame.name + packed + frame.flags + frame.body
