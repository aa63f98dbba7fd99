"""The seed of an album: the same wherever and whenever it is painted, and its own."""

import hashlib

import pytest

from covergen.core.seeds import seed_for

_KEYS = [f"artist {n}|album {n}" for n in range(2000)]


@pytest.mark.parametrize(
    ("key", "seed", "hashed"),
    [
        ("ada lind|rye", 0, b"0\0ada lind|rye"),
        ("Ärger|東京", 17, b"17\0\xc3\x84rger|\xe6\x9d\xb1\xe4\xba\xac"),
        ("Andr\udce9.mp3", 1, b"1\0Andr\xed\xb3\xa9.mp3"),  # from a name that is no UTF-8
    ],
)
def test_the_seed_is_the_upper_63_bits_of_a_blake2b_hash(
    key: str, seed: int, hashed: bytes
) -> None:
    bits = "".join(f"{byte:08b}" for byte in hashlib.blake2b(hashed, digest_size=8).digest())

    assert seed_for(key, seed) == int(bits[:63], 2)


def test_a_seed_never_changes_from_version_to_version() -> None:
    assert seed_for("ada lind|rye", 0) == 4102056559335650987


def test_every_seed_is_one_that_torch_takes_and_the_whole_range_is_used() -> None:
    seeds = [seed_for(key, 0) for key in _KEYS]

    assert all(0 <= seed < 2**63 for seed in seeds)
    assert min(seeds) < 2**55
    assert max(seeds) > 2**63 - 2**55


def test_albums_and_seeds_of_the_user_all_differ() -> None:
    assert len({seed_for(key, seed) for key in _KEYS for seed in (0, 1)}) == 2 * len(_KEYS)


def test_digits_do_not_wander_between_seed_and_key() -> None:
    assert seed_for("2", 1) != seed_for("", 12)
