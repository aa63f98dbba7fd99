"""Per-album random seeds."""

import hashlib


def seed_for(key: str, seed: int) -> int:
    """Derive an album's seed (0 to 2^63 - 1) from its key and the user's seed only."""
    data = f"{seed}\0{key}".encode(errors="surrogatepass")  # file names may not be UTF-8
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1
