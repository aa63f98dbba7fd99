"""metadata.csv: what is known of each pair of a dataset.

The first columns are those of art-from-audio's collector, whose files are read and gone on with.
Rows are appended one by one, so that a killed run leaves all that it finished.
"""

from __future__ import annotations

import csv
import errno
import io
import os
from typing import TYPE_CHECKING, Self, TypedDict, cast

from covergen.core.os_errors import write_errors
from covergen.core.temporary import temporary
from covergen.library.writing.file_copy import sync_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["COLUMNS", "METADATA_NAME", "MetadataFile", "Row", "read_metadata"]

METADATA_NAME = "metadata.csv"


class Row(TypedDict, total=False):
    """What is known of a pair, as text; what is not known is left out or "".

    `album_key` is the same for pairs that share a cover. `source` is where the pair comes from:
    the track's path below its library, or its page. Names end in their unit: `_s` seconds, `_px`
    pixels.
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


COLUMNS = tuple(Row.__annotations__)


def read_metadata(folder: Path) -> Iterator[Row]:
    """Yield the rows of a dataset's metadata.csv; none where there is no such file.

    A row that was never finished is left out; columns of other programs are kept. The names in it
    are text that anybody may have written: open no file by them. Raises OSError, and ValueError
    where the file is no table of pairs.
    """
    path = folder / METADATA_NAME
    if path.exists():
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _rows(file)


class MetadataFile:
    """A dataset's metadata.csv, open for more rows: `with MetadataFile(folder) as metadata`.

    The file is made if there is none; one that lacks columns of ours gets them. Raises WriteError,
    and ValueError where the file that is there is no table of pairs.
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
        """Add a row, whole or not at all. Raises WriteError."""
        data = _line(str(row.get(column, "")) for column in self._columns)
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
            raise ValueError("it has neither a column audio_filename nor image_filename")
        for row in reader:
            row.pop(None, None)  # what lies beyond the last column
            if None not in row.values():
                yield cast("Row", row)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _prepare(folder: Path) -> tuple[str, ...]:
    """Make metadata.csv fit for more rows, and return its columns."""
    path = folder / METADATA_NAME
    rows = list(read_metadata(folder))
    there = _columns_of(path)
    columns = tuple(dict.fromkeys((*there, *COLUMNS)))
    if columns != there or not path.read_bytes().endswith(b"\n"):
        with temporary(folder, mode=0o666) as whole:
            lines = [_line(columns), *(_line(_values(row, columns)) for row in rows)]
            whole.write_bytes(b"".join(lines))
            sync_file(whole)
            whole.replace(path)
    return columns


def _columns_of(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return tuple(csv.DictReader(file).fieldnames or ())


def _values(row: Row, columns: Iterable[str]) -> Iterator[str]:
    return (str(row.get(column, "")) for column in columns)


def _line(values: Iterable[str]) -> bytes:
    """A row as one line, whatever breaks its texts have."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(" ".join(v.splitlines()) for v in values)
    return text.getvalue().encode("utf-8", "surrogateescape")
