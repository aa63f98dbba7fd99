"""Connect to Ray, and turn its many errors into one. Imports ray only when it connects."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.compute.device import worker_count
from covergen.core.errors import ClusterError, DependencyError, OptionError
from covergen.models.sources import PROCEDURAL

if TYPE_CHECKING:
    from covergen.pipeline.options import PaintOptions, RayOptions


_SECONDS_TO_ANSWER = 3.0
# The client's first bytes in HTTP/2, which gRPC speaks: preface and an empty SETTINGS frame; and
# the type of the frame that the server answers with. Source: RFC 9113, sections 3.4 and 6.5.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4
_STORE_BYTES = 512 << 20  # pictures between painting and writing; Ray spills more to disk
_JOIN_HINT = (
    "Join this machine to it with `ray start --address HOST:PORT`, or start one with"
    " `ray start --head`; see .docs/scale.md."
)
_COPY_HINT = "Copy ~/.ray/auth_token from one of its machines; see .docs/scale.md."
_SMALL_GPU_SHARE = 0.25  # CLAP alone takes less than 2 GB
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports its use over the network
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, Ray would upload the working directory
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or Ray prints a warning about it
    "RAY_task_events_report_interval_ms": "0",  # the head keeps 3 kB for each task, up to 300 MB
}


def check_installed() -> None:
    """Raise DependencyError, with how to install it, if Ray is missing. Does not import it."""
    if find_spec("ray") is None:
        python = shlex.quote(sys.executable)
        raise DependencyError(
            "--engine ray needs the Python package ray, which is not installed.",
            hint=f"Install it with: {python} -m pip install 'covergen[ray]'",
        )


def check_device(device: str) -> None:
    """Raise OptionError for a numbered GPU, since Ray hands them out."""
    if device.startswith("cuda:"):
        raise OptionError(
            "device", f"{device} does not apply to --engine ray, which assigns GPUs itself."
        )


def check_address(address: str) -> str:
    """Return an address: "", "auto" or HOST:PORT. Raises OptionError for any other text."""
    host, _, port = address.rpartition(":")
    known = address in ("", "auto")
    if not known and not (host and "/" not in host and port.isdecimal() and int(port) < 2**16):
        raise OptionError("ray_address", f"{address!r} is neither HOST:PORT nor auto.")
    return address


def check_ray(options: RayOptions) -> None:
    """Check that a server answers at the address of a cluster, as Ray waits for it for minutes.

    Raises ClusterError within seconds.
    """
    if options.address in ("", "auto"):
        return
    host, _, port = options.address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER) as server:
            server.sendall(_PREFACE)
            answer = server.recv(9)
    except OSError as error:
        raise _unreachable(options, error.strerror or str(error)) from error
    if answer[3:4] != bytes((_SETTINGS,)):
        raise _unreachable(options, "what answers is not Ray")


@contextmanager
def connected(options: RayOptions) -> Iterator[None]:
    """Connect to a cluster, or start Ray on this machine, until the end of the context.

    What was started is stopped, and workers end. Raises DependencyError or ClusterError.
    """
    check_ray(options)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if _has_token():  # which Ray would not use for HOST:PORT; it does no harm where none is asked
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    local = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        try:
            ray.init(
                address=options.address or "local",
                logging_level=logging.INFO if options.verbose else logging.CRITICAL,
                log_to_driver=options.verbose,
                **({} if options.address else local),
            )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            if "InvalidAuthToken" in f"{error} {error.__cause__}":
                raise _unreachable(options, "it has another token", hint=_COPY_HINT) from error
            raise _unreachable(options, first_line(error).split(". ")[0]) from error
        yield
    finally:
        ray.shutdown()


def _has_token() -> bool:
    """Whether there is a token where Ray looks for one."""
    if any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        return True
    try:
        return (Path.home() / ".ray/auth_token").exists()
    except (OSError, RuntimeError):  # there is no home
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a worker takes of a machine."""

    cpus: int
    gpus: float

    def free(self) -> int:
        """Return how many more workers the cluster seems to have room for."""
        import ray

        free = ray.available_resources()
        by_cpus = free.get("CPU", 0) // self.cpus
        return int(min(by_cpus, free.get("GPU", 0) // self.gpus) if self.gpus else by_cpus)


def find_machines() -> list[Mapping[str, float]]:
    """Return the resources of each machine of the cluster, as Ray names them."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def share_of(
    options: PaintOptions, machines: Iterable[Mapping[str, float]], *, paints: bool
) -> Share:
    """Return what a worker takes: a GPU, or a part of one, if there are any and they are wanted.

    It takes a core for each decoder process, but no more than its part of the smallest machine.
    Raises ClusterError if no machine has what it needs.
    """
    where = "the cluster" if options.ray and options.ray.address else "this machine"
    machines = [one for one in machines if one.get("CPU")]
    with_gpus = [one for one in machines if one.get("GPU")]
    if options.device == "cuda" or (options.device == "auto" and with_gpus):
        small = not paints or options.preset.base == PROCEDURAL
        gpus = _SMALL_GPU_SHARE if small else 1.0
        parts = [one["CPU"] * gpus / one["GPU"] for one in with_gpus]
    else:
        gpus = 0.0
        parts = [one["CPU"] for one in machines]
    if not parts:
        needed = "GPU that Ray can assign" if gpus else "core for workers"
        raise ClusterError(
            f"There is no {needed} on {where}.",
            hint="Add a machine with `ray start --address HOST:PORT`; see .docs/scale.md.",
        )
    return Share(cpus=max(1, int(min([worker_count(options.workers, "cpu"), *parts]))), gpus=gpus)


def _unreachable(options: RayOptions, why: str, *, hint: str = _JOIN_HINT) -> ClusterError:
    if not options.address:
        return ClusterError(f"Ray cannot be started on this machine: {why}")
    where = "on this machine" if options.address == "auto" else f"at {options.address}"
    return ClusterError(f"No Ray cluster can be used {where}: {why.rstrip('.')}.", hint=hint)


def first_line(error: Exception) -> str:
    """Return the first line of a message of Ray's, which often has many."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
