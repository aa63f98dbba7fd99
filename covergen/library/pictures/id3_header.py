"""Sizes in ID3v2 headers, as synchsafe integers with 7 bits per byte."""

__all__ = ["from_synchsafe", "id3_size", "to_synchsafe"]


def from_synchsafe(data: bytes) -> int:
    """Decode a synchsafe integer; -1 if the highest bit of any byte is set."""
    if any(byte & 0x80 for byte in data):
        return -1
    return sum(byte << 7 * i for i, byte in enumerate(reversed(data)))


def to_synchsafe(number: int) -> bytes:
    """Encode a number below 2^28 as a synchsafe integer of 4 bytes."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3_size(header: bytes) -> int:
    """Return the total size of the ID3v2 tag with this 10-byte header, 0 if it is not one.

    Raises ValueError if the size is not synchsafe.
    """
    if header[:3] != b"ID3" or len(header) < 10:
        return 0
    size = from_synchsafe(header[6:10])
    if size < 0:
        raise ValueError("the size of the ID3 tag is damaged")
    has_footer = header[3] == 4 and header[5] & 0x10
    return 10 + size + (10 if has_footer else 0)
