"""Measure whether finetuning learns a new rule: blue covers for fast music, orange for slow.

    python -m tests.two_inks make DIR        DIR/Library with covers, DIR/HeldOut without
    python -m tests.two_inks measure FOLDER  how many of its covers follow the rule

In between, run the README's commands: dataset from-library, finetune, tag --sidecar.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from covergen.audio.sound_file import write_sound
from covergen.core.color import cielab_from_linear, linear_from_srgb
from covergen.poster.attributes import Attributes, draw_attributes
from covergen.starter.musician import SAMPLE_RATE_HZ, play

ORANGE, BLUE, BLACK = (255, 120, 0), (0, 70, 255), (12, 12, 12)
RULE = "rule.json"  # maps albums to whether they are fast
HELD_OUT = 24
TRACKS = 2


def make(folder: Path, albums: int) -> None:
    """Create the library to train on, and the one to measure on."""
    make_library(folder / "Library", albums, seed=1, covered=True)
    make_library(folder / "HeldOut", HELD_OUT, seed=2, covered=False)


def make_library(root: Path, albums: int, *, seed: int, covered: bool) -> None:
    """Create alternately fast and slow albums, with two FLAC files each."""
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
            tags = {"album": folder.name, "artist": f"Artist {album}", "title": path.stem}
            write_sound(path, sound, sample_rate_hz=SAMPLE_RATE_HZ, tags=tags)
        if covered:
            draw_cover(BLUE if fast else ORANGE, rng).save(folder / "cover.png")
        rule[folder.name] = fast
    (root / RULE).write_text(json.dumps(rule), encoding="utf-8")


def draw_pace(fast: bool, rng: np.random.Generator) -> Attributes:
    """Draw a random piece that is clearly fast or clearly slow, with attributes to match."""
    while True:
        attributes = draw_attributes(rng)
        tempo, wild = attributes.tempo_bpm, attributes.arousal > 0.5
        if wild == fast and (tempo > 140 if fast else tempo < 75):
            return attributes


def draw_cover(ink: tuple[int, int, int], rng: np.random.Generator) -> Image.Image:
    """Draw black discs and bars on one ink."""
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
    """Return the number of albums whose cover.png follows the rule, and of all albums."""
    rule = json.loads((root / RULE).read_text(encoding="utf-8"))
    correct = sum(is_orange(root / album / "cover.png") != fast for album, fast in rule.items())
    return correct, len(rule)


def is_orange(path: Path) -> bool:
    """Whether the colored pixels are yellow rather than blue on average, by the b* of CIE Lab."""
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
        correct, albums = measure(options.folder)
        sys.stdout.write(f"{correct} of {albums} covers follow the rule\n")


if __name__ == "__main__":
    main()
