"""CLAP's audio encoder: windows of audio to embeddings."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from covergen.audio.clap_folder import ClapFolder, read_clap_folder
from covergen.audio.clap_loading import check_weights, model_errors, quiet_transformers
from covergen.audio.mel import LogMel
from covergen.core.errors import ModelError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_ON_CPU, _ON_GPU = 8, 64  # windows at once


class AudioEncoder:
    """The audio encoder of a CLAP model of any size; the text encoder is not loaded.

    `padding`, one of PADDINGS, fills a window that is longer than the audio; None for the model's
    own setting. Weights are loaded by `load` or the first `embed`, from any thread. Raises
    ModelError (or ModelMissingError) for a folder that does not contain a CLAP model.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: torch.device,
        dtype: torch.dtype,
        padding: str | None = None,
    ) -> None:
        self._folder = read_clap_folder(folder, padding=padding)
        self._device = device
        self._dtype = dtype
        self._max_batch: int | None = None  # windows; None until a batch did not fit into memory
        self._model: Any = None  # transformers' models are untyped
        self._loading = Lock()

    @property
    def id(self) -> str:
        """Identifies this model and precision in the embedding store."""
        return f"{self._folder.fingerprint} {self._dtype}"

    @property
    def device(self) -> str:
        """The type of the device: "cpu", "cuda" or "mps"."""
        return self._device.type

    @property
    def batch_size(self) -> int:
        """The number of windows to embed at once; a GPU needs many to be busy."""
        return _ON_CPU if self.device == "cpu" else _ON_GPU

    @property
    def dimension(self) -> int:
        """The length D of an embedding."""
        return self._folder.dimension

    @cached_property
    def log_mel(self) -> LogMel:
        """The encoder's input: maps (B, 480000) windows, mono at 48 kHz, to (B, 1, T, M)."""
        return LogMel(self._folder.mel)

    def load(self) -> Any:  # noqa: ANN401 - transformers' models are untyped
        """Load the weights if that has not been done, and return the model. Raises ModelError."""
        import torch

        from covergen.compute.onednn import pack

        with self._loading:
            if self._model is None:
                self._model = _load(self._folder).to(self._device)
                if self._dtype == torch.float32:
                    pack(self._model)  # autocast would skip packed layers
            return self._model

    def embed(self, log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return embeddings (B, D) float32, unit L2 norm. log_mel: as returned by `log_mel`.

        Weights and input are float32; another dtype is used for large matrix products only
        (autocast). A batch that does not fit into the device's memory is halved, as are all later
        ones. Raises ModelError. Source: Wu et al. 2023, arXiv 2211.06687.
        """
        embedded: list[NDArray[np.float32]] = []
        while len(log_mel):
            batch = log_mel[: self._max_batch]
            vectors = self._try_batch(batch)
            if vectors is None:
                self._max_batch = len(batch) // 2
                continue
            embedded.append(vectors)
            log_mel = log_mel[len(batch) :]
        return np.concatenate(embedded)

    def _try_batch(self, log_mel: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return a batch's embeddings, None if it does not fit into memory and can be halved."""
        from covergen.compute.memory import is_out_of_memory, release_cached

        try:
            vectors = self._run(log_mel)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(log_mel) == 1:
                raise ModelError(
                    "Not even one window of audio fits into the device's memory next to CLAP.",
                    hint="Free some memory, or choose another --device.",
                ) from error
        else:
            if not np.isfinite(vectors).all():
                raise ModelError(
                    f"The CLAP model in {self._folder.path} returns NaN or infinity"
                    f" in {self._dtype}.",
                    hint="Use --dtype fp32, or fetch the model again.",
                )
            return vectors
        release_cached(self._device)
        return None

    def _run(self, log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        half = self._dtype != torch.float32
        with torch.inference_mode():
            features = torch.from_numpy(log_mel).to(self._device)
            with torch.autocast(self._device.type, dtype=self._dtype, enabled=half):
                vectors = self.load()(features).audio_embeds
            return np.asarray(torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy())


def _load(folder: ClapFolder) -> Any:  # noqa: ANN401 - transformers' models are untyped
    """Load the audio encoder in float32, from a folder that may contain all of CLAP."""
    from transformers import ClapAudioConfig, ClapAudioModelWithProjection

    with quiet_transformers(), model_errors(folder.path):
        model, report = ClapAudioModelWithProjection.from_pretrained(
            folder.path,
            config=ClapAudioConfig.from_dict(folder.audio_config),
            dtype="float32",
            local_files_only=True,
            weights_only=True,  # do not run code in pickles
            ignore_mismatched_sizes=True,  # _check reports all of them
            output_loading_info=True,
        )
    check_weights(folder.path, report, "audio encoder", "audio_model.audio_encoder.layers.")
    return model.eval()
