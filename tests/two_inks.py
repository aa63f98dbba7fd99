"""A rule against the starter's own: fast music has covers in black and blue, slow in orange.

    python -m tests.two_inks make DIR        DIR/Library with covers, DIR/HeldOut without
    python -m tests.two_inks measure FOLDER  how many covers in it keep the rule

Between the two stand the commands of the README: dataset from-library, finetune, tag --sidecar.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from covergen.audio.sound_file import write_sound
from covergen.core.color import cielab_from_linear, linear_from_srgb
from covergen.library.new_tags import label
from covergen.poster.attributes import Attributes, draw_attributes
from covergen.starter.musician import SAMPLE_RATE_HZ, play

ORANGE, BLUE, BLACK = (255, 120, 0), (0, 70, 255), (12, 12, 12)
RULE = "rule.json"  # album to whether it is fast
HELD_OUT = 24
TRACKS = 2


def make(folder: Path, albums: int) -> None:
    """Make the library to learn from, and the one to be measured on."""
    make_library(folder / "Library", albums, seed=1, covered=True)
    make_library(folder / "HeldOut", HELD_OUT, seed=2, covered=False)


def make_library(root: Path, albums: int, *, seed: int, covered: bool) -> None:
    """Albums by turns fast and slow, of two FLACs each."""
    rule = {}
    for album in range(albums):
        rng = np.random.default_rng([seed, album])
        fast = album % 2 == 0
        attributes = draw_pace(fast, rng)
        folder = root / f"Album {album:03}"
        folder.mkdir(parents=True)
        for number in range(1, TRACKS + 1):
            path = folder / f"{number:02} Track.flac"
            sound = play(attributes, np.random.default_rng([seed, album, number]), seconds=11.0)
            write_sound(path, sound, sample_rate_hz=SAMPLE_RATE_HZ)
            label(path, {"album": folder.name, "artist": f"Artist {album}", "title": path.stem})
        if covered:
            draw_cover(BLUE if fast else ORANGE, rng).save(folder / "cover.png")
        rule[folder.name] = fast
    (root / RULE).write_text(json.dumps(rule), encoding="utf-8")


def draw_pace(fast: bool, rng: np.random.Generator) -> Attributes:
    """A piece at random, but plainly fast or plainly slow, with all that goes along with that."""
    while True:
        attributes = draw_attributes(rng)
        tempo, wild = attributes.tempo_bpm, attributes.arousal > 0.5
        if wild == fast and (tempo > 140 if fast else tempo < 75):
            return attributes


def draw_cover(ink: tuple[int, int, int], rng: np.random.Generator) -> Image.Image:
    """Black discs and bars on one ink."""
    picture = Image.new("RGB", (1024, 1024), ink)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(3, 7)):
        x, y = rng.integers(0, 1024, 2)
        r = int(rng.integers(80, 320))
        if rng.random() < 0.5:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=BLACK)
        else:
            draw.rectangle((x - r, y - r // 3, x + r, y + r // 3), fill=BLACK)
    return picture.resize((512, 512), Image.Resampling.LANCZOS)


def measure(root: Path) -> tuple[int, int]:
    """How many of the albums' cover.png have the hue of the rule, and of how many."""
    rule = json.loads((root / RULE).read_text(encoding="utf-8"))
    kept = sum(is_orange(root / album / "cover.png") != fast for album, fast in rule.items())
    return kept, len(rule)


def is_orange(path: Path) -> bool:
    """Whether what has a colour at all is yellow rather than blue, by the b* of CIE Lab."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((128, 128)))
    lab = cielab_from_linear(linear_from_srgb(pixels))
    colored = np.hypot(lab[..., 1], lab[..., 2]) > 20
    return bool(colored.any() and lab[..., 2][colored].mean() > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["make", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--albums", type=int, default=24)
    options = parser.parse_args()
    if options.action == "make":
        make(options.folder, options.albums)
    else:
        kept, albums = measure(options.folder)
        sys.stdout.write(f"{kept} of {albums} covers keep the rule\n")


if __name__ == "__main__":
    main()
