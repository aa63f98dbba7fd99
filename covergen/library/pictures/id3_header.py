"""The header of ID3v2 tags: their size, in numbers of seven bits a byte."""

__all__ = ["from_synchsafe", "id3_size", "to_synchsafe"]


def from_synchsafe(data: bytes) -> int:
    """The number in the lower 7 bits of each byte; -1 where the highest bit of one is set."""
    if any(byte & 0x80 for byte in data):
        return -1
    return sum(byte << 7 * i for i, byte in enumerate(reversed(data)))


def to_synchsafe(number: int) -> bytes:
    """Four bytes that hold a number below 2^28."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3_size(header: bytes) -> int:
    """The whole size of the ID3v2 tag that begins with these 10 bytes, 0 where none does.

    Raises ValueError where the size is no synchsafe number.
    """
    if header[:3] != b"ID3" or len(header) < 10:
        return 0
    size = from_synchsafe(header[6:10])
    if size < 0:
        raise ValueError("the size of its ID3 tag is damaged")
    has_footer = header[3] == 4 and header[5] & 0x10
    return 10 + size + (10 if has_footer else 0)
