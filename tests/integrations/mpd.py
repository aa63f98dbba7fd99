"""A client of the Music Player Daemon's protocol, and a daemon of its own for it to talk to."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["Mpd", "running_mpd"]

_DEADLINE_SECONDS = 20


class Mpd:
    """A connection. Source: the MPD protocol, "Binary Responses" and "The music database"."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        assert file.readline().startswith(b"OK MPD ")

    def update(self) -> None:
        """Scan the music folder."""
        self._ask("update")
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while any(line.startswith(b"updating_db:") for line in self._ask("status")[0]):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def picture(self, command: str, name: str) -> bytes | None:
        """What "readpicture" or "albumart" returns for a file, in as many parts as it takes."""
        data = b""
        while part := self._ask(f'{command} "{name}" {len(data)}')[1]:
            data += part
        return data or None

    def _ask(self, command: str) -> tuple[list[bytes], bytes]:
        """The lines and the bytes of a response; none if it is an error."""
        self._file.write(f"{command}\n".encode())
        self._file.flush()
        lines, data = [], b""
        while not (line := self._file.readline()).startswith((b"OK", b"ACK")):
            assert line, "mpd has closed the connection"
            lines.append(line)
            if line.startswith(b"binary: "):
                data = self._file.read(int(line.removeprefix(b"binary: ")))
                self._file.readline()
        return lines, data


@contextmanager
def running_mpd(music: Path) -> Iterator[Mpd]:
    """Run mpd over a folder, with its own files elsewhere, and without sound or network."""
    with tempfile.TemporaryDirectory(prefix="mpd-") as folder:  # a socket's path must be short
        address = Path(folder, "socket")
        config = Path(folder, "mpd.conf")
        config.write_text(
            f'music_directory "{music}"\nbind_to_address "{address}"\n'
            f'db_file "{folder}/database"\nlog_file "{folder}/log"\n'
            'zeroconf_enabled "no"\nauto_update "no"\n'
            'audio_output {\ntype "null"\nname "none"\n}\n'
        )
        command = ["mpd", "--no-daemon", config]
        with (
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as mpd,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            try:
                _connect(connection, address, mpd)
                with connection.makefile("rwb") as file:
                    yield Mpd(file)  # type: ignore[arg-type]  # a BufferedRWPair is read like one
            finally:
                mpd.terminate()


def _connect(connection: socket.socket, address: Path, mpd: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        try:
            return connection.connect(str(address))
        except OSError:
            assert mpd.poll() is None, "mpd has stopped: see its log"
            assert time.monotonic() < deadline
            time.sleep(0.02)
