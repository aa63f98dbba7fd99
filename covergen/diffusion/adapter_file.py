"""Adapter files: one safetensors file with a LoRA, an audio projection and their metadata.

The tensors, in files of covergen and of the reference implementation:

    unet_lora.<module>.lora_A.default.weight    (rank, in) or (rank, in, 1, 1)
    unet_lora.<module>.lora_B.default.weight    (out, rank) or (out, rank, 1, 1)
    audio_projection.weight, .bias              (tokens * d_cross, d_audio), (tokens * d_cross,)
    audio_projection.norm.weight, .norm.bias    (d_cross,), only for several tokens

covergen's files store everything else as metadata, next to the fields of ModelSpec
(github.com/Stability-AI/ModelSpec). The reference's files have no metadata: alpha equals the rank,
and the empty prompt is encoded with its attention mask.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from covergen.core.atomic_write import write_whole
from covergen.core.errors import AdapterError, ModelError, ModelMissingError
from covergen.diffusion.projection import ProjectionKind

LORA_PREFIX = "unet_lora."
PROJECTION_PREFIX = "audio_projection."
METADATA_PREFIX = "covergen."

EmptyPrompt = Literal["plain", "masked"]

_Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterInfo:
    """The header of an adapter file.

    `d_audio`: length of the embeddings that the projection takes, None without a projection.
    `empty_prompt`: how guidance's empty prompt is encoded, "plain" as in diffusers or "masked" with
    its attention mask as in the reference. `base_mark`: `mark_of` the base that it was trained on;
    `clap_mark`: the fingerprint of CLAP's folder. Without covergen's metadata, strings are "" and
    `training` is empty. `shapes`: the shape of each tensor by key.
    """

    path: Path
    sha256: str
    rank: int
    alpha: float
    projection: ProjectionKind
    tokens: int
    d_audio: int | None
    empty_prompt: EmptyPrompt
    title: str
    base: str
    base_mark: str
    clap: str
    clap_mark: str
    training: Mapping[str, Any]
    shapes: _Shapes = field(repr=False)


def inspect(path: Path) -> AdapterInfo:
    """Read and check a file's header, without its tensors.

    Raises ModelMissingError if there is no such file, and AdapterError if it is not an adapter.
    """
    shapes, metadata = _read_header(path)
    _check_keys(path, shapes)
    rank = _find_rank(path, shapes)
    projection, tokens, d_audio = find_projection(path, shapes)
    fields = {
        name.removeprefix(METADATA_PREFIX): text
        for name, text in metadata.items()
        if name.startswith(METADATA_PREFIX)
    }
    found = {"rank": str(rank), "projection": projection, "tokens": str(tokens)}
    for name, text in found.items():
        if fields.get(name, text) != text:
            raise _not_an_adapter(
                path, f"{name} is {fields[name]} in the metadata, but {text} by the tensors"
            )
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return AdapterInfo(
        path=path,
        sha256=sha256,
        rank=rank,
        alpha=_parse_alpha(path, fields.get("alpha", str(rank))),
        projection=projection,
        tokens=tokens,
        d_audio=d_audio,
        empty_prompt=_parse_empty_prompt(path, fields),
        title=metadata.get("modelspec.title", ""),
        base=fields.get("base", ""),
        base_mark=fields.get("base_mark", ""),
        clap=fields.get("clap", ""),
        clap_mark=fields.get("clap_mark", ""),
        training=_parse_training(path, fields.get("training", "{}")),
        shapes=shapes,
    )


def read_tensors(info: AdapterInfo) -> dict[str, Tensor]:
    """Read the tensors as float32. Raises AdapterError if a value is not finite."""
    try:
        tensors = safetensors.torch.load_file(info.path)
    except (SafetensorError, OSError) as error:
        raise _not_an_adapter(info.path, f"cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise AdapterError(
                f"{info.path}: {name} contains NaN or infinite values.",
                hint="The training diverged. Use an earlier checkpoint.",
            )
    return {name: tensor.float() for name, tensor in tensors.items()}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file atomically; the same contents give the same bytes.

    Raises ModelError if it cannot be written.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = _sort_metadata(safetensors.torch.save(on_cpu, dict(metadata)))
    try:
        write_whole(path, data)
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror}.") from error


def find_projection(path: Path, shapes: _Shapes) -> tuple[ProjectionKind, int, int | None]:
    """Infer a projection's kind, tokens and d_audio from tensor shapes. Raises AdapterError."""
    found = {
        key.removeprefix(PROJECTION_PREFIX): shape
        for key, shape in shapes.items()
        if key.startswith(PROJECTION_PREFIX)
    }
    if not found:
        return "none", 1, None
    weight, bias = found.get("weight", ()), found.get("bias", ())
    if len(weight) == 2 and bias == weight[:1]:
        norm = found.get("norm.weight", ())
        if found.keys() == {"weight", "bias"}:
            return "linear", 1, weight[1]
        if len(found) == 4 and len(norm) == 1 and norm == found.get("norm.bias"):
            tokens = weight[0] // max(norm[0], 1)
            if tokens * norm[0] == weight[0] > 0:
                return "tokens", tokens, weight[1]
    raise _not_an_adapter(
        path,
        "expected an audio projection with weight (tokens * d_cross, d_audio) and bias, plus norm "
        f"for several tokens, found {found}",
    )


def _not_an_adapter(path: Path, problem: str) -> AdapterError:
    return AdapterError(
        f"{path}: {problem}.",
        hint="An adapter is a .safetensors file trained by covergen or art-from-audio.",
    )


def _read_header(path: Path) -> tuple[_Shapes, Mapping[str, str]]:
    if not path.is_file():
        raise ModelMissingError(f"{path}: no such file.", hint=_not_an_adapter(path, "").hint)
    try:
        with safe_open(path, framework="pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            types = {part.get_dtype() for part in slices.values()}
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _not_an_adapter(path, f"not a valid safetensors file: {error}") from error
    if not types <= {"F32", "F16", "BF16"}:
        raise _not_an_adapter(path, f"expected floating-point tensors, found {sorted(types)}")
    return shapes, metadata


def _sort_metadata(data: bytes) -> bytes:
    """Sort the header's metadata, which safetensors writes in random order."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensor data starts at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[end:]


def _check_keys(path: Path, shapes: _Shapes) -> None:
    foreign = sorted(k for k in shapes if not k.startswith((LORA_PREFIX, PROJECTION_PREFIX)))
    if foreign:
        raise _not_an_adapter(
            path,
            f"expected tensors named {LORA_PREFIX}… and {PROJECTION_PREFIX}…, found {len(foreign)} "
            f"with other names, such as {foreign[0]}",
        )


def _find_rank(path: Path, shapes: _Shapes) -> int:
    ranks = sorted({shape[0] for key, shape in shapes.items() if ".lora_A." in key and shape})
    if len(ranks) != 1 or ranks[0] < 1:
        raise _not_an_adapter(path, f"expected one LoRA rank, found {ranks or 'no LoRA'}")
    return ranks[0]


def _parse_alpha(path: Path, text: str) -> float:
    try:
        alpha = float(text)
    except ValueError:
        alpha = math.nan
    if not (math.isfinite(alpha) and alpha > 0):
        raise _not_an_adapter(path, f"expected a positive alpha in its metadata, found {text!r}")
    return alpha


def _parse_empty_prompt(path: Path, fields: Mapping[str, str]) -> EmptyPrompt:
    match fields.get("empty_prompt", "plain" if fields else "masked"):
        case "plain":
            return "plain"
        case "masked":
            return "masked"
        case text:
            raise _not_an_adapter(
                path, f"expected empty_prompt plain or masked in its metadata, found {text!r}"
            )


def _parse_training(path: Path, text: str) -> Mapping[str, Any]:
    try:
        training = json.loads(text)
    except ValueError:
        training = None
    if not isinstance(training, dict):
        raise _not_an_adapter(path, "its training settings are not a JSON object")
    return training
