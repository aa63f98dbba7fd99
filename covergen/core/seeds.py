"""The randomness of a picture belongs to what it is painted for."""

import hashlib

__all__ = ["seed_for"]


def seed_for(key: str, seed: int) -> int:
    """The seed of one album (0 to 2^63 - 1), from its key and the user's seed alone."""
    digest = hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
