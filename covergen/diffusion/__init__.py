"""Paint pictures from embeddings; the only package that imports diffusers and peft."""
