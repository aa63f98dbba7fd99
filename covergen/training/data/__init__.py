"""The training examples: their pictures, latents and embeddings."""
