"""Machines of a Ray cluster on one computer, each with its own network, host name and mounts.

Needs Linux, `ip`, `unshare` and root. `isolated` starts a module in which `Machines` can be used;
whatever that starts, it takes with it when it ends.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Machine", "Machines", "can_isolate", "isolated", "kill", "processes", "started"]

_ROOT = Path(__file__).parents[1]
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_INIT = ("sh", "-c", '"$@"; exit $?', "sh")  # reaps: Ray's workers wait for a killed raylet to go
_NETWORK, _PORT = "10.77.0", 6390
_STORE_BYTES = 80 << 20
_PATIENCE_SECONDS = 60
_READY, _STARTED = b"ready", b"Ray runtime started"


@cache
def can_isolate() -> bool:
    """Whether this process may create machines."""
    if not all(map(shutil.which, ("ip", "unshare", "hostname"))):
        return False
    link = "ip link add try type bridge && mount -t tmpfs none /mnt"
    return subprocess.run([*_UNSHARE, "sh", "-c", link], capture_output=True).returncode == 0


def isolated(module: str, *arguments: object) -> list[str]:
    """The command that runs a module in namespaces of its own."""
    return [*_UNSHARE, *_INIT, sys.executable, "-m", module, *map(str, arguments)]


def processes(name: str) -> list[int]:
    """The processes whose command line contains a name."""
    pids = [path for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [int(pid.name) for pid in pids if name.encode() in _command_line(pid)]


def kill(pid: int) -> bool:
    """Kill a process with -9. Returns whether it still ran."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _command_line(pid: Path) -> bytes:
    try:
        return (pid / "cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:  # it has just ended
        return b""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with one core, as far as Ray knows."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> None:
        """Wait until it has joined the cluster."""
        _wait_for(_STARTED, self.log, self.process)

    def kill(self) -> bool:
        """Kill its raylet with -9, as if it had lost power. Returns whether it had one."""
        killed = [kill(pid) for pid in processes(f"--node_ip_address={self.address} ")]
        self.process.kill()
        self.process.wait(_PATIENCE_SECONDS)
        return any(killed)


@dataclass(slots=True)
class Machines:
    """A cluster whose head computes nothing. Its logs are in `folder`."""

    folder: Path
    machines: list[Machine] = field(default_factory=list)
    _count: int = 0

    address = f"{_NETWORK}.1:{_PORT}"

    def add(self, mounts: Mapping[Path, Path], hidden: Path | None = None) -> Machine:
        """Start a machine with folders mounted at other places, and one that it cannot see."""
        self._count += 1
        number, name = self._count + 1, f"box{self._count}"
        address = f"{_NETWORK}.{number}"
        places = [
            f"mkdir -p {_q(at)} && mount --bind {_q(of)} {_q(at)}" for at, of in mounts.items()
        ]
        join = f"{_ray()} start --block --address {self.address} --node-ip-address {address}"
        commands = [
            f"hostname {name}",
            "ip link set lo up",
            f"echo {_READY.decode()}",
            "until ip link set eth0 up 2>/dev/null; do sleep 0.05; done",
            f"ip address add {address}/24 dev eth0",
            f"ip route add default via {_NETWORK}.1",
            "mount -t tmpfs none /dev/shm",
            "mount -t tmpfs none /tmp/ray",
            *places,
            *([f"mount -t tmpfs none {_q(hidden)}"] if hidden else []),
            f"exec {join} --num-cpus 1 --object-store-memory {_STORE_BYTES}",
        ]
        unshared = ["unshare", "--net", "--mount", "--uts", "sh", "-c", " && ".join(commands)]
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(unshared, stdout=output, stderr=output, cwd=_ROOT)
        _wait_for(_READY, log, process)
        ends = f"type veth peer name eth0 netns {process.pid}"
        _ip(f"link add link{number} {ends}", f"link set link{number} master boxes up")
        machine = Machine(name, address, process, log)
        self.machines.append(machine)
        return machine

    def remove(self, machine: Machine) -> bool:
        """Kill a machine. Returns whether it ran."""
        self.machines.remove(machine)
        return machine.kill()


@contextmanager
def started(folder: Path) -> Iterator[Machines]:
    """Start the head here, which is where commands run; all machines end with the context."""
    _ip(
        "link set lo up",
        "link add boxes type bridge",
        f"address add {_NETWORK}.1/24 dev boxes",
        "link set boxes up",
        "route add default dev boxes",  # Ray finds its own address by it
    )
    Path("/tmp/ray").mkdir(exist_ok=True)
    for place in ("/tmp/ray", "/dev/shm"):
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["HOME"] = str(folder)
    token = folder / ".ray/auth_token"
    token.parent.mkdir()
    token.write_text(secrets.token_hex(32))
    start = f"{_ray()} start --head --block --node-ip-address {_NETWORK}.1 --port {_PORT}"
    options = f"--num-cpus 0 --object-store-memory {_STORE_BYTES} --include-dashboard false"
    with (folder / "head.log").open("wb") as log:
        head = subprocess.Popen(shlex.split(f"{start} {options}"), stdout=log, stderr=log)
    os.environ["RAY_AUTH_MODE"] = "token"  # as .docs/scale.md says, for the other machines
    machines = Machines(folder)
    try:
        _wait_for(_STARTED, folder / "head.log", head)
        yield machines
    finally:
        for machine in machines.machines:
            machine.kill()
        head.terminate()
        try:
            head.wait(_PATIENCE_SECONDS)
        finally:
            head.kill()


def _wait_for(text: bytes, log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has written a text. Raises AssertionError if it ends or takes long."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while text not in log.read_bytes():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def _ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


def _ray() -> str:
    return f"{_q(Path(sys.executable))} -m ray.scripts.scripts"


def _q(path: Path) -> str:
    return shlex.quote(str(path))
