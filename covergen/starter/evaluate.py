"""Evaluate the starter: `python -m covergen.starter.evaluate --work-dir DIR`.

Music and covers are cached in the work folder, so that an interrupted evaluation can be resumed.
The results are printed to stdout and written to `evaluation.json` in the work folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from covergen.audio.clap import AudioEncoder
from covergen.core.cover import FINISHES, Sampling
from covergen.diffusion.painter import load_painter
from covergen.models.presets import load_presets
from covergen.poster.attributes import Attributes
from covergen.poster.model import load_poster
from covergen.starter.evaluation import metrics
from covergen.starter.evaluation.autoencoder import reconstruct
from covergen.starter.evaluation.families import FamilyClassifier
from covergen.starter.evaluation.music import Music, embed_music
from covergen.starter.evaluation.pictures import (
    EXPRESSED,
    FEATURES,
    Pictures,
    paint_covers,
    pictures_in_styles,
    procedural_pictures,
)
from covergen.starter.evaluation.recordings import embed_recordings, rank_correlation
from covergen.starter.recipe.settings import DatasetSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.diffusion.painter import Painter
    from covergen.starter.evaluation.metrics import Figure

_WEIGHTS = Path(__file__).parent / "weights"
_DEFAULT = Sampling(steps=20, guidance=4.0, scheduler="dpm++")
_REFERENCE = Sampling(steps=50, guidance=7.5, scheduler="ddpm")
_CURVE = (
    *(replace(_DEFAULT, guidance=guidance) for guidance in (1.0, 2.0, 3.0, 5.0, 7.5)),
    *(replace(_DEFAULT, steps=steps) for steps in (10, 50)),
    *(Sampling(steps=steps, guidance=4.0, scheduler="ddim") for steps in (20, 50)),
    Sampling(steps=10, guidance=4.0, scheduler="unipc"),
    Sampling(steps=50, guidance=4.0, scheduler="ddpm"),
    _REFERENCE,
    *(replace(_DEFAULT, guided_until=share) for share in (0.4, 0.6, 0.8)),
    *(replace(_DEFAULT, guided_until=0.6, reuse=reuse) for reuse in (2, 3)),
    replace(_DEFAULT, guided_from=0.2, guided_until=0.6),
    replace(_DEFAULT, steps=10, guided_until=0.6),
)
_SEEDS = 8
_PROBED = 768  # procedural pictures for fitting the attribute probe
_CLASSIFIED = 4096  # procedural pictures for training the family classifier
_HELD_OUT = 1024  # procedural pictures for testing it
_STYLED = 24  # covers per family
_FAMILIES = DatasetSettings().families


def main() -> None:
    """Parse the command line and run the evaluation."""
    parser = argparse.ArgumentParser(
        prog="python -m covergen.starter.evaluate", description=__doc__
    )
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=_WEIGHTS, help="folder of the model")
    parser.add_argument("--variants", type=Path, help="folder of adapters to compare")
    parser.add_argument("--recordings", type=Path, help="folder of real music; requires librosa")
    parser.add_argument("--finish", choices=FINISHES, help="override the starter's finish")
    parser.add_argument(
        "--tracks", type=int, default=192, help="number of tracks, a multiple of 64"
    )
    parser.add_argument(
        "--curve", type=int, default=64, help="tracks per sampling setting; 0 skips the settings"
    )
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = _Evaluation(options).run()
    text = json.dumps(results, indent=2)
    (options.work_dir / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


class _Evaluation:
    """The models, music and procedural pictures shared by all metrics."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder: Path = options.work_dir
        self.weights: Path = options.weights
        shipped = load_presets()["starter"]
        sampling = shipped.sampling
        self.sampling = replace(sampling, finish=options.finish or sampling.finish)
        self.styles = shipped.styles or ("",)
        self.audio_encoder = AudioEncoder(
            self.weights / "clap", device=torch.device("cpu"), dtype=torch.float32
        )
        self.music = embed_music(self.audio_encoder, options.tracks, self.folder / "music.npz")
        self.probe_pictures = self._procedural_pictures(1, _PROBED)
        self.poster = load_poster(
            self.weights / "mood.safetensors", d_audio=self.audio_encoder.dimension
        )
        self.reference = self._painter_pictures("painter", seed=2)

    def run(self) -> dict[str, Any]:
        """Return all metrics by name."""
        painter = self._painter(self.weights / "adapter.safetensors")
        covers = self._paint(painter, "default", self.sampling, self.music.vectors[:, 0])
        results: dict[str, Any] = {
            "painter": self._measure(
                self.music.attributes, self._painter_pictures("painter-again", seed=4)
            ),
            "painter_by_probe": self._measure(self.music.attributes, self._pictures_by_probe()),
            "default": self._measure(self.music.attributes, covers),
            "audio_encoder": _embedding_similarity(self.music),
            "seeds": self._vary_seeds(painter, covers),
            "families": self._classify_families(painter),
            "autoencoder": self._reconstruct(painter),
        }
        if self.options.recordings:
            results["recordings"] = self._correlate_recordings()
        if self.options.curve:
            results["curve"] = [
                self._measure_sampling(painter, sampling) for sampling in (_DEFAULT, *_CURVE)
            ]
            half = self._painter(self.weights / "adapter.safetensors", torch.bfloat16)
            results["bf16"] = self._measure_sampling(half, _DEFAULT)
        if self.options.variants:
            adapters = sorted(self.options.variants.glob("*.safetensors"))
            results["variants"] = {
                adapter.stem: self._measure_variant(adapter) for adapter in adapters
            }
        return results

    def _procedural_pictures(
        self, seed: int, count: int, size: int = 512
    ) -> tuple[NDArray[np.float64], Pictures]:
        path = self.folder / f"painter-{seed}.npz"
        return procedural_pictures(seed, count, path, size=size, families=_FAMILIES)

    def _painter_pictures(self, name: str, seed: int) -> Pictures:
        """Return the painter's pictures for the music."""
        attributes = map(Attributes.from_row, self.music.attributes)
        return self._pictures_in_styles(name, attributes, seed=seed)

    def _pictures_by_probe(self) -> Pictures:
        """Return the painter's pictures for what the probe reads from the embeddings."""
        readings = map(self.poster.probe.read, self.music.vectors[:, 0])
        mark = _mark_of(self.audio_encoder.id, self.poster.sha256)
        return self._pictures_in_styles(f"painter-by-probe-{mark}", readings, seed=3)

    def _pictures_in_styles(self, name: str, music: Iterable[Attributes], seed: int) -> Pictures:
        path = self.folder / f"{name}-{self.options.tracks}-{_mark_of(*self.styles)}.npz"
        return pictures_in_styles(music, self.styles, seed, path)

    def _painter(self, adapter: Path, dtype: torch.dtype = torch.float32) -> Painter:
        return load_painter(
            self.weights / "base",
            adapter,
            d_audio=self.audio_encoder.dimension,
            device=torch.device("cpu"),
            dtype=dtype,
            styles=(*_FAMILIES, *self.styles),
        )

    def _paint(
        self,
        painter: Painter,
        name: str,
        sampling: Sampling,
        vectors: NDArray[np.float32],
        first_seed: int = 0,
    ) -> Pictures:
        seeds = range(first_seed, first_seed + len(vectors))
        path = self._covers_file(painter, name)
        return paint_covers(painter, vectors, seeds, sampling, path, styles=self.styles)

    def _covers_file(self, painter: Painter, name: str) -> Path:
        return self.folder / "covers" / f"{name}-{self.sampling.finish}-{_mark(painter)}.npz"

    def _measure(self, attributes: NDArray[np.float64], covers: Pictures) -> dict[str, Any]:
        """Return the metrics of covers for known attributes, with shuffled music as a control."""
        agreement, each = metrics.agreement(attributes[:, :2], covers)
        shuffled = np.random.default_rng(0).permutation(len(attributes))
        return {
            "agreement": _row(agreement),
            "agreement_each": {
                FEATURES[k]: round(float(r2), 3) for k, r2 in zip(EXPRESSED, each, strict=True)
            },
            "agreement_shuffled": _row(metrics.agreement(attributes[shuffled, :2], covers)[0]),
            "retrieval": _row(metrics.retrieval(attributes, covers, *self.probe_pictures)),
            "distance_to_painter": _row(metrics.closeness(covers, self.reference)),
            "relative_sharpness": _row(metrics.relative_sharpness(covers, self.reference)),
        }

    def _classify_families(self, painter: Painter) -> dict[str, Any]:
        """Classify covers painted with the name of a family as style."""
        classifier = FamilyClassifier(len(_FAMILIES))
        path = self.folder / "families.pt"
        if path.exists():
            classifier.load(path)
        else:
            known = self._procedural_pictures(4, _CLASSIFIED, size=128)[1].thumbs
            classifier.fit(known, np.arange(len(known)) % len(_FAMILIES))
            classifier.save(path)
        held_out = self._procedural_pictures(5, _HELD_OUT, size=128)[1].thumbs
        right = classifier.predict(held_out) == np.arange(len(held_out)) % len(_FAMILIES)
        count = _STYLED * len(_FAMILIES)
        vectors = np.resize(self.music.vectors[:, 0], (count, self.audio_encoder.dimension))
        covers = paint_covers(
            painter,
            vectors,
            range(2000, 2000 + count),
            self.sampling,
            self._covers_file(painter, "families"),
            styles=_FAMILIES,
        )
        expected = np.arange(count) % len(_FAMILIES)
        predicted = classifier.predict(covers.thumbs)
        self._save_sheet("families", covers.thumbs[: 7 * _SEEDS])
        return {
            "painter_recognized": round(float(right.mean()), 4),
            "recognized": _row(metrics.recognized(predicted, expected)),
            "each": {
                family: round(float((predicted == expected)[expected == k].mean()), 3)
                for k, family in enumerate(_FAMILIES)
            },
        }

    def _vary_seeds(self, painter: Painter, covers: Pictures) -> dict[str, Any]:
        """Compare 24 tracks with 8 seeds each, and count near-duplicates and empty covers."""
        vectors = self.music.vectors[:24, 0].repeat(_SEEDS, axis=0)
        varied = self._paint(painter, "seeds", self.sampling, vectors, first_seed=1000)
        self._save_sheet("tracks", covers.thumbs[:48])
        self._save_sheet("seeds", varied.thumbs[: 6 * _SEEDS])
        both = Pictures(
            np.concatenate([covers.features, varied.features]),
            np.concatenate([covers.sharpness, varied.sharpness]),
            np.concatenate([covers.thumbs, varied.thumbs]),
        )
        return {
            "control_ratio": _row(metrics.control(varied, _SEEDS)),
            "near_duplicates": metrics.near_duplicates(both),
            "empty": metrics.empty_covers(both, self.reference),
            "among": len(both.thumbs),
        }

    def _save_sheet(self, name: str, thumbs: NDArray[np.uint8]) -> None:
        """Save a contact sheet with eight thumbnails per row."""
        rows = thumbs.reshape(-1, _SEEDS, *thumbs.shape[1:])
        sheet = np.concatenate(list(np.concatenate(list(rows), axis=1)), axis=1)
        Image.fromarray(sheet).save(self.folder / f"sheet-{name}.png")

    def _correlate_recordings(self) -> dict[str, Any]:
        """Return rank correlations of the probe's arousal with librosa's measurements."""
        files = (path for path in self.options.recordings.rglob("*") if path.is_file())
        recordings = embed_recordings(self.audio_encoder, files, self.folder / "recordings.npz")
        arousal = np.array(
            [self.poster.probe.read(vector).arousal for vector in recordings.vectors]
        )
        both = recordings.loudness.argsort().argsort() + recordings.onsets.argsort().argsort()
        return {
            "loudness": round(rank_correlation(arousal, recordings.loudness), 3),
            "onset_rate": round(rank_correlation(arousal, recordings.onsets), 3),
            "both": round(rank_correlation(arousal, both.astype(np.float64)), 3),
            "count": len(arousal),
        }

    def _reconstruct(self, painter: Painter) -> dict[str, Any]:
        """Return the metrics of the autoencoder's reconstructions."""
        decibels, rebuilt = reconstruct(painter.vae, self.folder / "autoencoder.npz")
        return {
            "psnr_db": round(decibels, 2),
            "distance_to_painter": _row(metrics.closeness(rebuilt, self.probe_pictures[1])),
        }

    def _measure_variant(self, adapter: Path) -> dict[str, Any]:
        """Return the metrics of another adapter; reference adapters use reference sampling."""
        sampling = _REFERENCE if adapter.stem.startswith("reference") else _DEFAULT
        count = self.options.curve or None
        vectors = self.music.vectors[:count, 0]
        covers = self._paint(self._painter(adapter), adapter.stem, sampling, vectors)
        return self._measure(self.music.attributes[:count], covers)

    def _measure_sampling(self, painter: Painter, sampling: Sampling) -> dict[str, Any]:
        """Return agreement and distance for a sampling setting."""
        name = "-".join(map(str, (painter.dtype, *asdict(sampling).values())))
        vectors = self.music.vectors[: self.options.curve, 0]
        covers = self._paint(painter, name, sampling, vectors)
        attributes = self.music.attributes[: self.options.curve]
        return {
            **asdict(sampling),
            "agreement": _row(metrics.agreement(attributes[:, :2], covers)[0]),
            "distance_to_painter": _row(metrics.closeness(covers, self.reference)),
        }


def _mark(painter: Painter) -> str:
    return painter.adapter.sha256[:12] if painter.adapter else "words"


def _mark_of(*texts: str) -> str:
    return hashlib.sha256("; ".join(texts).encode()).hexdigest()[:8]


def _embedding_similarity(music: Music) -> dict[str, Any]:
    """Return cosine similarities of excerpts of the same and of different tracks."""
    first, second = music.vectors[:, 0], music.vectors[:, 1]
    cosines = first @ second.T
    same = np.diag(cosines)
    others = cosines[~np.eye(len(cosines), dtype=bool)]
    return {
        "same_track": round(float(same.mean()), 3),
        "same_track_least": round(float(same.min()), 3),
        "same_track_above_0.9": round(float((same >= 0.9).mean()), 3),
        "other_tracks": round(float(others.mean()), 3),
    }


def _row(figure: Figure) -> dict[str, float]:
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in asdict(figure).items()
    }


if __name__ == "__main__":
    main()
