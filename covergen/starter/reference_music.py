"""Play the reference music of zero-shot words: `python -m covergen.starter.reference_music FILE`.

Zero-shot words need the mean embedding of music in general. It must not come from the user's
library, or an album's cover would depend on the other albums. So it comes from this music, of all
moods and on all of the musician's instruments, which ships as covergen/audio/reference_music.opus.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from covergen.audio.sound_file import write_sound
from covergen.poster.attributes import draw_attributes
from covergen.starter.musician import HELD_OUT, SAMPLE_RATE_HZ, TRAINING, augment, play

_PIECES = 16  # of 10 s each
_SEED = 31
_BITS_PER_SECOND = 24_000


def main(file: Path) -> None:
    """Write the music to a file. Raises OSError."""
    pieces = []
    for number in range(_PIECES):
        rng = np.random.default_rng([_SEED, number])
        instruments = TRAINING if number % 2 else HELD_OUT
        piece = augment(play(draw_attributes(rng), rng, instruments=instruments), rng)
        pieces.append(piece.mean(axis=0, keepdims=True))
    music = np.concatenate(pieces, axis=1)
    write_sound(file, music, sample_rate_hz=SAMPLE_RATE_HZ, bits_per_second=_BITS_PER_SECOND)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
