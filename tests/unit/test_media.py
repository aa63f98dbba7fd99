"""The files that the other tests stand on are what they say, as other programs' code reads them."""

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
    corrupted,
    decoded_hash,
    encode,
    make_library,
    picture_bytes,
    put_picture,
    sound,
    truncated,
)

FIXTURES = Path(__file__).parents[1] / "fixtures"
FIXED = ("speex", "ape", "musepack")
MADE = tuple(container for container in CONTAINERS if container not in FIXED)
LOSSLESS = ("flac", "oggflac", "wav", "rf64", "aiff", "wavpack", "tta")
ID3 = ("mp3", "wav", "rf64", "aiff", "tta", "dsf")

# FFmpeg's names of the demuxer and the codec, and mutagen's of the file that it recognises.
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


def metadata(path: Path) -> Mapping[str, str]:
    """Tags as FFmpeg reads them, of the file or, in Ogg, of its stream."""
    with av.open(path) as file:
        return {k.lower(): v for k, v in (file.metadata | file.streams.audio[0].metadata).items()}


@pytest.mark.parametrize("container", CONTAINERS)
def test_each_container_is_recognised_and_heard(container: str, tmp_path: Path) -> None:
    path = encode(file_of(tmp_path, container), container, seconds=1.0)
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


def pitch(wave: NDArray[np.float32], sample_rate: int) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(wave[0] * np.hanning(wave.shape[1])))
    spectrum[:20] = 0  # one-bit sound may rest off zero
    return float(np.fft.rfftfreq(wave.shape[1], 1 / sample_rate)[spectrum.argmax()])


@pytest.mark.parametrize("container", [*LOSSLESS, "alac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_files_hold_each_sample(container: str, channels: int, tmp_path: Path) -> None:
    samples = sound("melody", 0.7, sample_rate=32_000, channels=channels, seed=2)
    alac = container == "alac"
    name = "mp4" if alac else container
    path = encode(file_of(tmp_path, name), name, samples, sample_rate=32_000, alac=alac)
    wave, sample_rate = decode(path)
    assert sample_rate == 32_000
    assert wave.shape == samples.shape
    np.testing.assert_allclose(wave, samples, atol=1 / 32_768)


@pytest.mark.parametrize("container", CONTAINERS)
def test_tags_are_read_by_another_program(container: str, tmp_path: Path) -> None:
    path = encode(file_of(tmp_path, container), container, seconds=0.5, tags=TAGS)
    if container == "dff":  # FFmpeg reads no tags in these
        assert mutagen.File(path).tags["TIT2"] == TAGS["title"]
        return
    found = metadata(path)
    assert set(TAGS.values()) <= set(found.values())
    assert found["title"] == TAGS["title"]
    assert TAGS["album_artist"] in (found.get("album_artist"), found.get("album artist"))


@pytest.mark.parametrize("container", ID3)
@pytest.mark.parametrize("version", [3, 4])
def test_id3_tags_have_the_version_asked_for(container: str, version: int, tmp_path: Path) -> None:
    path = encode(
        file_of(tmp_path, container), container, seconds=0.5, tags=TAGS, id3_version=version
    )
    data = path.read_bytes()
    assert data.count(b"ID3" + bytes([version, 0])) == 1
    assert (b"TYER" in data, b"TDRC" in data) == (version == 3, version == 4)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("format_name", ["png", "jpeg"])
def test_pictures_come_back_and_leave_the_music_alone(
    container: str, format_name: str, tmp_path: Path
) -> None:
    path = encode(file_of(tmp_path, container), container, seconds=0.5, tags=TAGS)
    before = decoded_hash(path)
    picture = picture_bytes(format_name)
    put_picture(path, container, picture)
    assert decoded_hash(path) == before
    assert picture in pictures(path, container)
    assert container == "dff" or metadata(path)["title"] == TAGS["title"]


def pictures(path: Path, container: str) -> list[bytes]:
    """Embedded pictures as FFmpeg finds them, which knows none in DFF files."""
    if container == "dff":
        return [frame.data for frame in mutagen.File(path).tags.getall("APIC")]
    with av.open(path) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


def test_the_hash_tells_sounds_apart(tmp_path: Path) -> None:
    paths = [
        encode(tmp_path / f"{kind} {seed}.flac", "flac", seconds=0.5, kind=kind, seed=seed)
        for kind in KINDS
        for seed in (0, 1)
    ]
    assert len({decoded_hash(path) for path in paths}) == len(paths)
    again = encode(tmp_path / "again.tta", "tta", seconds=0.5, kind=KINDS[0], seed=0)
    assert decoded_hash(again) == decoded_hash(paths[0])


def test_silence_of_no_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sound"):
        encode(tmp_path / "nothing.ogg", "vorbis", seconds=0.0)


@pytest.mark.parametrize("container", FIXED)
def test_fixtures_are_small(container: str) -> None:
    assert (FIXTURES / f"melody{EXTENSION[container]}").stat().st_size <= 30_000


@pytest.mark.parametrize("damaged", [False, True])
def test_the_checksums_of_the_ape_file_are_right(damaged: bool, tmp_path: Path) -> None:
    """FFmpeg, told to check them, throws away a frame whose sound has another checksum."""
    path = encode(tmp_path / "a.ape", "ape")
    if damaged:
        data = bytearray(path.read_bytes())
        data[52 + 24 + 3 * 4] ^= 1  # the first checksum, behind descriptor, header and table
        path.write_bytes(data)
    with av.open(path) as file:
        stream = file.streams.audio[0]
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
        heard = sum(frame.samples for frame in file.decode(stream))
    assert (heard == round(1.1 * 22_050)) is not damaged


def test_truncated_keeps_the_beginning(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.flac", "flac", seconds=1.0)
    data = path.read_bytes()
    assert truncated(path, 0.25).read_bytes() == data[: len(data) // 4]


def test_corrupted_changes_what_is_not_spared(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "wav", seconds=0.5)
    data, before = path.read_bytes(), decoded_hash(path)
    found = corrupted(path, seed=1, share=0.1, spared=44).read_bytes()
    changed = [place for place, (a, b) in enumerate(zip(data, found, strict=True)) if a != b]
    assert min(changed) >= 44
    assert len(changed) == int(0.1 * (len(data) - 44))
    assert decoded_hash(path) != before


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return make_library(tmp_path_factory.mktemp("made"))


def test_the_library_holds_what_its_table_says(made: Library) -> None:
    music = {
        path
        for path in made.root.rglob("*")
        if path.suffix in EXTENSION.values() and path not in {*made.failures, *made.ignored}
    }
    counted = {folder: sum(path.is_relative_to(folder) for path in music) for folder in made.albums}
    assert counted == {folder: expected.tracks for folder, expected in made.albums.items()}
    assert sum(counted.values()) == len(music)
    assert all(is_heard_as_music(path) for path in music)
    assert set(made.every_container.values()) <= music


def is_heard_as_music(path: Path) -> bool:
    with av.open(path) as file:
        return len(file.streams.audio) == 1


def test_the_library_has_the_troubles_that_it_names(made: Library) -> None:
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


def test_a_copy_of_the_library_is_described_where_it_lies(made: Library, tmp_path: Path) -> None:
    copy = made.copy_to(tmp_path / "copy")
    assert copy.root == tmp_path / "copy"
    assert {path.relative_to(made.root) for path in made.root.rglob("*")} == {
        path.relative_to(copy.root) for path in copy.root.rglob("*")
    }
    assert copy.read_only.stat().st_mtime_ns == made.read_only.stat().st_mtime_ns
    assert copy.half_covered[0].read_bytes() == made.half_covered[0].read_bytes()
