"""Read and append to metadata.csv, the table of a dataset's pairs.

The first columns are those of art-from-audio's collector, whose files can be read and extended.
Rows are appended one at a time, so that a killed run loses nothing it finished.
"""

import csv
import errno
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self, TypedDict, cast

from covergen.core.atomic_write import write_whole
from covergen.core.os_errors import write_errors

METADATA_NAME = "metadata.csv"


class Row(TypedDict, total=False):
    """The metadata of a pair, as text; unknown values are left out or "".

    `album_key` is the same for pairs that share a cover. `source` is the track's path relative to
    its library, or its web page. Suffixes are units: `_s` seconds, `_px` pixels.
    """

    jamendo_track_id: str
    track_name: str
    artist_name: str
    album_name: str
    audio_filename: str
    image_filename: str
    jamendo_license_cc: str
    original_audio_duration_s: str
    actual_snippet_duration_s: str
    image_original_width_px: str
    image_original_height_px: str
    image_saved_width_px: str
    image_saved_height_px: str
    album_key: str
    source: str
    jamendo_album_id: str
    release_date: str
    genre: str
    license_url: str
    image_license: str
    attribution: str
    caption: str


COLUMNS = tuple(column for column in Row.__annotations__ if column != "caption")
"""The columns of a new file. `caption`, what the cover shows in words, is the user's to add."""


def read_metadata(folder: Path) -> Iterator[Row]:
    """Yield the rows of a dataset's metadata.csv; none if the file does not exist.

    Incomplete rows are skipped; columns of other programs are kept. Do not open files by the names
    in it: they are untrusted. Raises OSError, and ValueError if the file is not a table of pairs.
    """
    path = folder / METADATA_NAME
    if path.exists():
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _rows(file)


class MetadataFile:
    """A dataset's metadata.csv, open for appending: `with MetadataFile(folder) as metadata`.

    The file is created if necessary, and missing columns are added. Raises WriteError, and
    ValueError if an existing file is not a table of pairs.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / METADATA_NAME
        with write_errors(self._path):
            self._columns = _prepare(folder)
            self._file = self._path.open("ab", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: Row) -> None:
        """Append a complete row or nothing. Raises WriteError."""
        data = _line(_values(row, self._columns))
        with write_errors(self._path):
            before = os.fstat(self._file.fileno()).st_size
            written = 0
            try:
                written = self._file.write(data)
            finally:
                if written < len(data):
                    self._file.truncate(before)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _rows(file: Iterable[str]) -> Iterator[Row]:
    reader = csv.DictReader(file)
    try:
        columns = reader.fieldnames or ()
        if columns and not {"audio_filename", "image_filename"} & set(columns):
            raise ValueError("it has no column audio_filename or image_filename")
        for row in reader:
            row.pop(None, None)  # values beyond the last column
            if None not in row.values():
                yield cast("Row", row)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _prepare(folder: Path) -> tuple[str, ...]:
    """Create or repair metadata.csv so that rows can be appended, and return its columns."""
    path = folder / METADATA_NAME
    rows = list(read_metadata(folder))
    existing = _columns_of(path)
    columns = tuple(dict.fromkeys((*existing, *COLUMNS)))
    if columns != existing or not path.read_bytes().endswith(b"\n"):
        lines = [_line(columns), *(_line(_values(row, columns)) for row in rows)]
        write_whole(path, b"".join(lines))
    return columns


def _columns_of(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return tuple(csv.DictReader(file).fieldnames or ())


def _values(row: Row, columns: Iterable[str]) -> Iterator[str]:
    return (str(row.get(column, "")) for column in columns)


def _line(values: Iterable[str]) -> bytes:
    """Encode a row as one line, with line breaks in values replaced by spaces."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(" ".join(v.splitlines()) for v in values)
    return text.getvalue().encode("utf-8", "surrogateescape")
