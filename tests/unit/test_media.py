"""The files that other tests rely on are what they should be, according to FFmpeg and mutagen."""

from collections.abc import Mapping
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media import (
    CONTAINERS,
    EXTENSION,
    KINDS,
    Library,
    decoded_hash,
    encode,
    picture_bytes,
    put_picture,
    sound,
)

FIXED = ("speex", "ape", "musepack")
MADE = tuple(container for container in CONTAINERS if container not in FIXED)
LOSSLESS = ("flac", "oggflac", "wav", "rf64", "aiff", "wavpack", "tta")
ID3 = ("mp3", "wav", "rf64", "aiff", "tta", "dsf")

# FFmpeg's names of the demuxer and the codec, and mutagen's class.
NAMES = {
    "mp3": ("mp3", "mp3float", "MP3"),
    "flac": ("flac", "flac", "FLAC"),
    "mp4": ("mov,mp4,m4a,3gp,3g2,mj2", "aac", "MP4"),
    "vorbis": ("ogg", "vorbis", "OggVorbis"),
    "opus": ("ogg", "opus", "OggOpus"),
    "speex": ("ogg", "speex", "OggSpeex"),
    "oggflac": ("ogg", "flac", "OggFLAC"),
    "wav": ("wav", "pcm_s16le", "WAVE"),
    "rf64": ("wav", "pcm_s16le", ""),  # which mutagen does not know
    "aiff": ("aiff", "pcm_s16be", "AIFF"),
    "asf": ("asf", "wmav2", "ASF"),
    "ape": ("ape", "ape", "MonkeysAudio"),
    "wavpack": ("wv", "wavpack", "WavPack"),
    "musepack": ("mpc8", "mpc8", "Musepack"),
    "tta": ("tta", "tta", "TrueAudio"),
    "dsf": ("dsf", "dsd_lsbf_planar", "DSF"),
    "dff": ("iff", "dsd_msbf", "DSDIFF"),
    "matroska": ("matroska,webm", "flac", ""),
}
TAGS = {
    "title": "Größe 雪",
    "artist": "Ada Lind",
    "album": "Snow",
    "album_artist": "Various Artists",
    "date": "1997-05-21",
    "track_number": "3/12",
    "disc_number": "1/2",
    "compilation": "1",
    "musicbrainz_album_id": "00000000-0000-4000-8000-000000000001",
}


def file_of(folder: Path, container: str) -> Path:
    return folder / f"A file{EXTENSION[container]}"


def decode(path: Path) -> tuple[NDArray[np.float32], int]:
    """(channels, samples) at full scale 1, and their rate in Hz."""
    with av.open(path) as file:
        stream = file.streams.audio[0]
        to_float = av.AudioResampler("fltp")
        frames = [part for frame in file.decode(stream) for part in to_float.resample(frame)]
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), stream.sample_rate


def pitch(wave: NDArray[np.float32], sample_rate: int) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(wave[0] * np.hanning(wave.shape[1])))
    spectrum[:20] = 0  # one-bit audio may have an offset
    return float(np.fft.rfftfreq(wave.shape[1], 1 / sample_rate)[spectrum.argmax()])


@pytest.mark.parametrize("container", CONTAINERS)
def test_container_and_sound(container: str, tmp_path: Path) -> None:
    path = encode(file_of(tmp_path, container), container, seconds=0.5, kind="tone", seed=5)
    with av.open(path) as file:
        names = file.format.name, file.streams.audio[0].codec_context.name
    *expected, by_mutagen = NAMES[container]
    assert list(names) == expected
    wave, sample_rate = decode(path)
    assert len(wave) == 2
    assert wave.std() > 0.01
    if by_mutagen:
        parsed = mutagen.File(path)
        assert type(parsed).__name__ == by_mutagen
        assert wave.shape[1] / sample_rate == pytest.approx(parsed.info.length, abs=0.1)
        assert not parsed.tags


@pytest.mark.parametrize("container", MADE)
def test_the_sound_asked_for_is_the_sound_heard(container: str, tmp_path: Path) -> None:
    """A decoded tone has its pitch and its length; the right channel is the quieter one."""
    path = encode(file_of(tmp_path, container), container, seconds=1.0, kind="tone", seed=5)
    wave, sample_rate = decode(path)
    original = sound("tone", 1.0, seed=5)
    assert wave.shape[1] / sample_rate == pytest.approx(1.0, abs=0.1)
    assert pitch(wave, sample_rate) == pytest.approx(pitch(original, 44_100), abs=3.0)
    assert wave[1].std() / wave[0].std() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("container", [*LOSSLESS, "alac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_files_have_exact_samples(container: str, channels: int, tmp_path: Path) -> None:
    samples = sound("melody", 0.3, sample_rate=32_000, channels=channels, seed=2)
    alac = container == "alac"
    name = "mp4" if alac else container
    path = encode(file_of(tmp_path, name), name, samples, sample_rate=32_000, alac=alac)
    wave, sample_rate = decode(path)
    assert sample_rate == 32_000
    assert wave.shape == samples.shape
    np.testing.assert_allclose(wave, samples, atol=1 / 32_768)


def metadata(path: Path) -> Mapping[str, str]:
    """Tags according to FFmpeg, of the file or, in Ogg, of its stream."""
    with av.open(path) as file:
        return {k.lower(): v for k, v in (file.metadata | file.streams.audio[0].metadata).items()}


def pictures(path: Path) -> list[bytes]:
    """Embedded pictures according to FFmpeg."""
    with av.open(path) as file:
        return [bytes(packet) for packet in file.demux(file.streams.video) if packet.size]


@pytest.mark.parametrize("container", CONTAINERS)
def test_tags_and_pictures_are_readable_and_keep_the_audio(container: str, tmp_path: Path) -> None:
    path = encode(file_of(tmp_path, container), container, seconds=0.2)
    before = decoded_hash(path)
    path = encode(path, container, seconds=0.2, tags=TAGS)
    added = [picture_bytes("png"), picture_bytes("jpeg")]
    for kind, picture in zip((3, 4), added, strict=True):
        put_picture(path, container, picture, kind=kind)
    assert decoded_hash(path) == before
    if container == "dff":  # in which FFmpeg reads neither tags nor pictures
        tags = mutagen.File(path).tags
        assert tags["TIT2"] == TAGS["title"]
        assert [frame.data for frame in tags.getall("APIC")] == added
        return
    found = metadata(path)
    assert set(TAGS.values()) <= set(found.values())
    assert found["title"] == TAGS["title"]
    assert TAGS["album_artist"] in (found.get("album_artist"), found.get("album artist"))
    assert sorted(pictures(path)) == sorted(added)


@pytest.mark.parametrize("container", ID3)
@pytest.mark.parametrize("version", [3, 4])
def test_id3_version(container: str, version: int, tmp_path: Path) -> None:
    path = encode(
        file_of(tmp_path, container), container, seconds=0.2, tags=TAGS, id3_version=version
    )
    data = path.read_bytes()
    assert data.count(b"ID3" + bytes([version, 0])) == 1
    assert (b"TYER" in data, b"TDRC" in data) == (version == 3, version == 4)


def test_hash_depends_on_the_sound_only(tmp_path: Path) -> None:
    paths = [
        encode(tmp_path / f"{kind} {seed}.flac", "flac", seconds=0.5, kind=kind, seed=seed)
        for kind in KINDS
        for seed in (0, 1)
    ]
    assert len({decoded_hash(path) for path in paths}) == len(paths)
    again = encode(tmp_path / "again.tta", "tta", seconds=0.5, kind=KINDS[0], seed=0)
    assert decoded_hash(again) == decoded_hash(paths[0])


@pytest.mark.parametrize("damaged", [False, True])
def test_ape_fixture_has_valid_checksums(damaged: bool, tmp_path: Path) -> None:
    """FFmpeg drops a frame with a wrong checksum if told to check them."""
    path = encode(tmp_path / "a.ape", "ape")
    if damaged:
        data = bytearray(path.read_bytes())
        data[52 + 24 + 3 * 4] ^= 1  # the first checksum, after descriptor, header and table
        path.write_bytes(data)
    with av.open(path) as file:
        stream = file.streams.audio[0]
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
        decoded = sum(frame.samples for frame in file.decode(stream))
    assert (decoded == round(1.1 * 22_050)) is not damaged


def test_library_matches_its_description(shared_library: Library) -> None:
    made = shared_library
    music = {
        path
        for path in made.root.rglob("*")
        if path.suffix in EXTENSION.values() and path not in {*made.failures, *made.ignored}
    }
    counted = {folder: sum(path.is_relative_to(folder) for path in music) for folder in made.albums}
    assert counted == {folder: expected.tracks for folder, expected in made.albums.items()}
    assert sum(counted.values()) == len(music)
    assert set(made.every_container.values()) <= music
    for path in music:
        with av.open(path) as file:
            assert len(file.streams.audio) == 1
    headless, text, empty = made.failures
    for path in (headless, text):
        with pytest.raises(mutagen.MutagenError):
            mutagen.File(path)
    assert empty.stat().st_size == 0
    assert made.read_only.stat().st_mode & 0o222 == 0
    assert all(path.is_file() for path in made.ignored)
    assert mutagen.File(made.broken_off)["album"] == ["Rift"]
    with pytest.raises(av.error.InvalidDataError):
        decoded_hash(made.broken_off)
