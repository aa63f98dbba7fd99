"""art-from-audio's train_lora_diffusion.py in plain torch, diffusers and peft."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from peft import LoraConfig
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from covergen.training.data.examples import Example


class ReferenceTraining:
    """Reads and encodes the pictures at every step. `size` is their side in pixels."""

    def __init__(
        self, base: Path, *, steps: int, size: int, device: torch.device | None = None
    ) -> None:
        self.device = device = device or torch.device("cpu")
        self.size = size
        self.vae = AutoencoderKL.from_pretrained(base / "vae").requires_grad_(False).to(device)
        unet = UNet2DConditionModel.from_pretrained(base / "unet").requires_grad_(False)
        self.scheduler = DDPMScheduler.from_pretrained(base / "scheduler")
        targets = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out"]
        torch.manual_seed(0)
        unet.add_adapter(
            LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=targets)
        )
        self.unet = unet.to(device).train()
        self.projection = nn.Linear(512, unet.config.cross_attention_dim).to(device)
        self.parameters = [p for p in unet.parameters() if p.requires_grad]
        self.parameters += list(self.projection.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4)
        self.rates = get_scheduler(
            "cosine", self.optimizer, num_warmup_steps=0, num_training_steps=steps
        )

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        config = self.vae.config
        side = self.size // 2 ** (len(config.block_out_channels) - 1)
        return int(config.latent_channels), side, side

    def backward(self, examples: Sequence[Example], noise: Tensor, timesteps: Tensor) -> float:
        """Compute the gradients for B examples; return the loss.

        `noise`: (B, 2, C, h, w), for sampling latents and for adding to them.
        """
        pixels = torch.stack([self._pixels(example.image) for example in examples])
        vectors = torch.from_numpy(np.stack([example.vector for example in examples]))
        latent_noise, noise = noise.to(self.device).unbind(1)
        timesteps = timesteps.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            with torch.no_grad():
                dist = self.vae.encode(pixels.to(self.device)).latent_dist
                latents = (dist.mean + dist.std * latent_noise) * self.vae.config.scaling_factor
            noisy = self.scheduler.add_noise(latents, noise, timesteps)
            tokens = self.projection(vectors.to(self.device))[:, None]
            predicted = self.unet(noisy, timesteps, encoder_hidden_states=tokens).sample
        loss = functional.mse_loss(predicted.float(), noise.float())
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        return loss.item()

    def update(self) -> float:
        """Update the weights; return the learning rate of the step."""
        rate: float = self.rates.get_last_lr()[0]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.rates.step()
        return rate

    def _pixels(self, path: Path) -> Tensor:
        size = (self.size, self.size)
        image = Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        levels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (levels - 0.5) / 0.5
