"""What a worker takes of the machines of a cluster."""

import pytest

from covergen.core.errors import ClusterError
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.engines.ray_cluster import Share, share_of
from covergen.pipeline.model_choice import ModelChoice, choose_preset
from covergen.pipeline.options import PaintOptions, RayOptions

_CPU_BOX, _GPU_BOX = {"CPU": 8.0}, {"CPU": 32.0, "GPU": 4.0}
_HEAD = {"memory": 1e9}  # computes nothing


def _options(device: str = "auto", *, base: str = "a/base", jobs: int = 64) -> PaintOptions:
    choice = ModelChoice(base=base, clap="a/clap", adapter="an/adapter")
    return PaintOptions(
        preset=choose_preset(choice), device=device, dtype="auto", workers=jobs, ray=RayOptions()
    )


def test_a_painter_takes_a_whole_gpu_with_its_part_of_the_cores() -> None:
    assert share_of(_options(), [_HEAD, _GPU_BOX], paints=True) == Share(cpus=8, gpus=1)
    assert share_of(_options("cuda"), [_HEAD, _GPU_BOX], paints=True) == Share(cpus=8, gpus=1)


def test_what_needs_clap_alone_shares_a_gpu() -> None:
    shared = Share(cpus=2, gpus=0.25)
    assert share_of(_options(), [_GPU_BOX], paints=False) == shared
    assert share_of(_options(base=PROCEDURAL), [_GPU_BOX], paints=True) == shared


def test_a_worker_takes_no_more_cores_than_jobs_or_than_the_smallest_machine_has() -> None:
    assert share_of(_options(jobs=3), [_GPU_BOX], paints=True).cpus == 3
    smaller = {"CPU": 2.0, "GPU": 1.0}
    assert share_of(_options(), [_GPU_BOX, smaller], paints=True).cpus == 2
    crowded = {"CPU": 2.0, "GPU": 8.0}
    assert share_of(_options(), [crowded], paints=True) == Share(cpus=1, gpus=1)


def test_without_gpus_or_with_the_device_cpu_it_takes_cores_alone() -> None:
    assert share_of(_options(), [_HEAD, _CPU_BOX], paints=True) == Share(cpus=8, gpus=0)
    assert share_of(_options("cpu"), [_CPU_BOX, _GPU_BOX], paints=True) == Share(cpus=8, gpus=0)


def test_machines_without_a_gpu_do_not_count_where_others_have_one() -> None:
    assert share_of(_options(), [{"CPU": 1.0}, _GPU_BOX], paints=True) == Share(cpus=8, gpus=1)


@pytest.mark.parametrize(
    ("device", "machines", "missing"),
    [
        ("cuda", [_CPU_BOX], "GPU that Ray can assign"),
        ("cuda", [{"GPU": 1.0}], "GPU that Ray can assign"),  # without a core
        ("auto", [_HEAD], "core for workers"),
        ("auto", [], "core for workers"),
    ],
)
def test_a_cluster_that_no_worker_fits_into(
    device: str, machines: list[dict[str, float]], missing: str
) -> None:
    with pytest.raises(ClusterError, match=f"There is no {missing} on this machine"):
        share_of(_options(device), machines, paints=True)
