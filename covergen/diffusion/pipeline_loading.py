"""Load a text-to-image pipeline of diffusers, ready to paint."""

import json
from collections.abc import Sequence
from pathlib import Path

import diffusers
import torch
from diffusers import AutoPipelineForText2Image, DiffusionPipeline, ModelMixin
from safetensors import SafetensorError
from torch import nn

from covergen.compute.memory import is_out_of_memory
from covergen.core.errors import AdapterError
from covergen.diffusion.batch_size import choose_offload, memory_error
from covergen.diffusion.load_base import LOADING_ERRORS
from covergen.diffusion.pipeline_config import pipeline_error, read_pipeline_config
from covergen.diffusion.pipeline_painter import PipelinePainter
from covergen.diffusion.quiet import quiet


def load_pipeline(
    folder: Path,
    *,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    variant: str | None = None,
    offload: str = "auto",
    loras: Sequence[tuple[Path, float]] = (),
    vae: Path | None = None,
    negative: str = "",
) -> PipelinePainter:
    """Load a pipeline from its folder, without using the network or code from the folder.

    `name` is that of the model, for errors. `variant` is that of the weight files. `offload` is one
    of OFFLOADS and only applies to CUDA devices; "auto" keeps the models on the device if they fit.
    `loras` are files of LoRAs to merge,
    with their weights; `vae` is the folder of a VAE to use in place of the pipeline's. Configs are
    checked before any weights are read. Raises ModelError, AdapterError for a LoRA, and UsageError
    for a `negative` prompt if the pipeline takes none.
    """
    config = read_pipeline_config(folder)
    config.check_negative(negative)
    loader = AutoPipelineForText2Image if config.in_auto else config.pipeline_class
    parts = dict(config.omitted)
    if vae is not None:
        parts["vae"] = _load_vae(vae, dtype)
    try:
        with quiet():
            pipeline = loader.from_pretrained(
                folder,
                dtype=dtype,
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                **parts,
            )
    except (*LOADING_ERRORS, ImportError) as error:
        raise pipeline_error(f"{folder} cannot be loaded: {error}") from error
    _check_complete(folder, pipeline)
    if loras:
        _merge(pipeline, loras)
    pipeline.set_progress_bar_config(disable=True)
    if hasattr(getattr(pipeline, "vae", None), "enable_slicing"):
        pipeline.vae.enable_slicing()  # decodes pictures one at a time, to save memory
    try:
        with quiet():
            _place(pipeline, device, offload)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise memory_error(f"{folder} does not fit in the memory of {device}.") from error
    return PipelinePainter(
        name=name, config=config, pipeline=pipeline, negative=negative, device=device, dtype=dtype
    )


def _load_vae(folder: Path, dtype: torch.dtype) -> ModelMixin:
    try:
        name = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"]
        with quiet():
            return getattr(diffusers, name).from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True
            )
    except LOADING_ERRORS as error:
        raise pipeline_error(f"{folder}: the VAE cannot be loaded: {error}") from error


def _check_complete(folder: Path, pipeline: DiffusionPipeline) -> None:
    for name, model in _models(pipeline).items():
        missing = [key for key, tensor in model.state_dict().items() if tensor.is_meta]
        if missing:
            raise pipeline_error(
                f"{folder / name}: {len(missing)} tensors are missing, such as {missing[0]}."
            )


def _merge(pipeline: DiffusionPipeline, loras: Sequence[tuple[Path, float]]) -> None:
    names = [f"lora{number}" for number in range(len(loras))]
    for name, (file, _) in zip(names, loras, strict=True):
        problem = "it does not fit the base"
        try:
            with quiet():
                pipeline.load_lora_weights(
                    str(file.parent),
                    weight_name=file.name,
                    adapter_name=name,
                    use_safetensors=True,
                    local_files_only=True,
                )
        except (*LOADING_ERRORS, SafetensorError) as error:
            problem = str(error)
        if not any(name in found for found in _adapters(pipeline).values()):
            raise AdapterError(
                f"The LoRA {file} cannot be used with {type(pipeline).__name__}: {problem}.",
                hint="Remove it from `loras` in models.toml, or replace it.",
            )
    with quiet():
        pipeline.set_adapters(names, [weight for _, weight in loras])
        pipeline.fuse_lora(components=list(_adapters(pipeline)))
        pipeline.unload_lora_weights()


def _adapters(pipeline: DiffusionPipeline) -> dict[str, list[str]]:
    """Return the LoRAs of each model that has any."""
    configs = {n: getattr(model, "peft_config", {}) for n, model in _models(pipeline).items()}
    return {name: list(config) for name, config in configs.items() if config}


def _place(pipeline: DiffusionPipeline, device: torch.device, offload: str) -> None:
    if device.type != "cuda":
        pipeline.to(device)
        return
    if offload == "auto":
        free, _ = torch.cuda.mem_get_info(device)
        offload = choose_offload([_bytes(model) for model in _models(pipeline).values()], free)
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)


def _models(pipeline: DiffusionPipeline) -> dict[str, nn.Module]:
    return {n: part for n, part in pipeline.components.items() if isinstance(part, nn.Module)}


def _bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in model.state_dict().values())
