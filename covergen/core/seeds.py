"""The randomness of a picture belongs to what it is painted for."""

import hashlib

__all__ = ["seed_for"]


def seed_for(key: str, seed: int) -> int:
    """The seed of one album (0 to 2^63 - 1), from its key and the user's seed alone."""
    data = f"{seed}\0{key}".encode(errors="surrogatepass")  # a file's name may be no UTF-8
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1
