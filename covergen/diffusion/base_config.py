"""Read and check a base's folder without loading its weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ModelMixin, UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextConfig

from covergen.core.errors import ModelError, ModelMissingError
from covergen.diffusion.quiet import quiet

_WEIGHTS_STEM = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
# Inputs that UNets of other model families need besides the timestep and the tokens.
_FOREIGN_INPUTS = (
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseConfig:
    """The configs of a base, completed with the defaults of its classes.

    `vae_folder` is in `folder`, unless the VAE is replaced. `vae_overflows`: the VAE's config says
    that it overflows in fp16. `variants` maps each part to the variant of its weight files: None,
    or "fp16" if there are no others.
    """

    folder: Path
    vae_folder: Path
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    vae_overflows: bool
    scheduler: Mapping[str, Any]
    variants: Mapping[str, str | None]

    @property
    def cross_attention_dim(self) -> int:
        """The size of the tokens in the UNet's cross-attention."""
        return int(self.unet["cross_attention_dim"])

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of the latents that the UNet was trained on."""
        size = self.unet["sample_size"]
        height, width = (size, size) if isinstance(size, int) else size
        return int(self.unet["in_channels"]), int(height), int(width)

    @property
    def picture_size(self) -> tuple[int, int]:
        """(H, W) of a painted picture, in pixels."""
        factor = 2 ** (len(self.vae["block_out_channels"]) - 1)
        _, height, width = self.latent_shape
        return height * factor, width * factor


def base_error(problem: str) -> ModelError:
    """The error for a folder that cannot be used as a base."""
    return ModelError(
        problem,
        hint="A base is a folder in diffusers' layout, with unet/, vae/, text_encoder/, tokenizer/ "
        "and scheduler/. Download it again, or use another one.",
    )


def read_config(folder: Path, vae: Path | None = None) -> BaseConfig:
    """Read and check everything but the weights of a base.

    `vae` is the folder of a VAE to use in place of the base's, which may be an AutoencoderTiny.
    Raises ModelMissingError if there is no such folder, and ModelError if a part is missing, has
    the wrong class, does not fit the others, or has damaged weight files.
    """
    if not folder.is_dir():
        raise ModelMissingError(f"{folder}: no such folder.", hint=base_error("").hint)
    vae_folder = vae or folder / "vae"
    vae_config = _read_json(vae_folder / "config.json")
    folders = {"unet": folder / "unet", "vae": vae_folder, "text_encoder": folder / "text_encoder"}
    config = BaseConfig(
        folder=folder,
        vae_folder=vae_folder,
        unet=_read_model_config(folder / "unet", UNet2DConditionModel),
        vae=_read_model_config(vae_folder, vae_class(vae_config) if vae else AutoencoderKL),
        # Read from the file, since the class's default is True for every model.
        vae_overflows=vae_config.get("force_upcast", False),
        scheduler=_read_json(folder / "scheduler" / "scheduler_config.json"),
        variants={part: _find_variant(folders[part], stem) for part, stem in _WEIGHTS_STEM.items()},
    )
    _check_unet(folder, config.unet, config.vae)
    _check_text_encoder(folder, config.unet)
    _check_tokenizer(config)
    return config


def vae_class(config: Mapping[str, Any]) -> type[ModelMixin]:
    """Return the class of a VAE from its config."""
    tiny = config.get("_class_name") == AutoencoderTiny.__name__
    chosen: type[ModelMixin] = AutoencoderTiny if tiny else AutoencoderKL
    return chosen


def check_configs(folder: Path) -> None:
    """Check the config.json files of a base before its weights are downloaded.

    Raises ModelError for a model of another family, such as SDXL.
    """
    unet = _read_model_config(folder / "unet", UNet2DConditionModel)
    vae = _read_model_config(folder / "vae", AutoencoderKL)
    _check_unet(folder, unet, vae)
    _check_text_encoder(folder, unet)


def empty_unet(config: BaseConfig) -> UNet2DConditionModel:
    """Create the UNet on the meta device, which has names and shapes but no weights."""
    with quiet(), torch.device("meta"):
        return UNet2DConditionModel.from_config(config.unet)


def mark_of(config: BaseConfig) -> str:
    """A 16-digit hash that identifies the UNet's weights, equal in single and half precision.

    Hashes only the first layer, since reading a whole base takes seconds.
    """
    stem = _WEIGHTS_STEM["unet"]
    for path in _weight_files(config.folder / "unet", stem, config.variants["unet"]):
        with safe_open(path, framework="pt") as file:
            if "conv_in.weight" in set(file.keys()):
                first = file.get_tensor("conv_in.weight").half().numpy()
                return hashlib.sha256(first.tobytes()).hexdigest()[:16]
    return ""


def _read_model_config(folder: Path, model_class: type[ModelMixin]) -> Mapping[str, Any]:
    path = folder / "config.json"
    config = _read_json(path)
    expected = model_class.__name__
    if config.get("_class_name") != expected:
        raise base_error(
            f"{path}: expected the class {expected}, found {config.get('_class_name')}."
        )
    try:
        with quiet(), torch.device("meta"):
            resolved: Mapping[str, Any] = model_class.from_config(config).config
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        raise base_error(f"{path}: cannot create a {expected} from it: {e}") from e
    return resolved


def _check_unet(folder: Path, unet: Mapping[str, Any], vae: Mapping[str, Any]) -> None:
    path = folder / "unet" / "config.json"
    for name in _FOREIGN_INPUTS:
        if unet.get(name) is not None:
            raise base_error(
                f"{path}: expected no {name} (Stable Diffusion 1.x and 2.x have none), "
                f"found {unet[name]}."
            )
    for name in ("in_channels", "out_channels"):
        channels = vae["latent_channels"]
        if unet[name] != channels:
            raise base_error(
                f"{path}: expected {name} = {channels} like the VAE, found {unet[name]}."
            )
    if not isinstance(unet["cross_attention_dim"], int):
        found = unet["cross_attention_dim"]
        raise base_error(f"{path}: expected a single cross_attention_dim, found {found}.")
    if unet["sample_size"] is None:
        raise base_error(f"{path}: expected a sample_size, found none.")


def _check_text_encoder(folder: Path, unet: Mapping[str, Any]) -> None:
    path = folder / "text_encoder" / "config.json"
    found = _read_json(path)
    if "CLIPTextModel" not in (found.get("architectures") or ()):
        raise base_error(
            f"{path}: expected the class CLIPTextModel, found {found.get('architectures')}."
        )
    width = CLIPTextConfig.from_dict(found).hidden_size
    if width != unet["cross_attention_dim"]:
        raise base_error(
            f"{path}: expected hidden_size = {unet['cross_attention_dim']}, the UNet's "
            f"cross_attention_dim, found {width}."
        )


def _check_tokenizer(config: BaseConfig) -> None:
    """Check that its files exist; transformers would create an empty tokenizer without them."""
    folder = config.folder / "tokenizer"
    present = {path.name for path in folder.glob("*")}
    if not (present >= {"vocab.json", "merges.txt"} or "tokenizer.json" in present):
        raise base_error(
            f"{folder}: expected vocab.json and merges.txt, or tokenizer.json, "
            f"found {', '.join(sorted(present)) or 'neither'}."
        )


def _find_variant(folder: Path, stem: str) -> str | None:
    for variant in (None, "fp16"):
        files = _weight_files(folder, stem, variant)
        for path in files:
            _check_weights(path)
        if files:
            return variant
    present = sorted(path.name for path in folder.glob("*") if path.suffix != ".json")
    raise base_error(
        f"{folder}: expected {stem}.safetensors, found {', '.join(present) or 'no weights'}. "
        "Other formats are not supported, since they can run code."
    )


def _weight_files(folder: Path, stem: str, variant: str | None) -> list[Path]:
    """The file or shards of one variant; empty if the variant is missing."""
    infix = f".{variant}" if variant else ""
    whole = folder / f"{stem}{infix}.safetensors"
    if whole.is_file():
        return [whole]
    index = folder / f"{stem}.safetensors.index{infix}.json"
    if index.is_file():
        shards = _read_json(index).get("weight_map", {})
        return [folder / name for name in sorted(set(shards.values()))]
    return []


def _check_weights(path: Path) -> None:
    """Read the header, which also detects truncated files."""
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise base_error(f"{path}: not a valid safetensors file: {error}.") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise base_error(f"{path}: no such file.") from error
    except (OSError, ValueError) as error:
        raise base_error(f"{path}: not a readable JSON file: {error}.") from error
    if not isinstance(found, dict):
        raise base_error(f"{path}: expected a JSON object, found {type(found).__name__}.")
    return found
