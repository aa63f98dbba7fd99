"""An album's seed depends only on its key and the user's seed."""

import hashlib

import pytest

from covergen.core.seeds import seed_for


@pytest.mark.parametrize(
    ("key", "seed", "hashed"),
    [
        ("ada lind|rye", 0, b"0\0ada lind|rye"),
        ("Ärger|東京", 17, b"17\0\xc3\x84rger|\xe6\x9d\xb1\xe4\xba\xac"),
        ("Andr\udce9.mp3", 1, b"1\0Andr\xed\xb3\xa9.mp3"),  # a file name that is not UTF-8
    ],
)
def test_seed_is_the_upper_63_bits_of_a_blake2b_hash(key: str, seed: int, hashed: bytes) -> None:
    bits = "".join(f"{byte:08b}" for byte in hashlib.blake2b(hashed, digest_size=8).digest())
    assert seed_for(key, seed) == int(bits[:63], 2)


def test_seed_is_the_same_in_every_version() -> None:
    assert seed_for("ada lind|rye", 0) == 4102056559335650987


def test_seeds_are_distinct_and_fill_the_range() -> None:
    seeds = {seed_for(f"artist {n}|album {n}", seed) for n in range(2000) for seed in (0, 1)}
    assert len(seeds) == 4000
    assert 0 <= min(seeds) < 2**55
    assert 2**63 - 2**55 < max(seeds) < 2**63
    assert seed_for("2", 1) != seed_for("", 12)
