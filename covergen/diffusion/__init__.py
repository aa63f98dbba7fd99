"""Embedding to picture: the only room that imports diffusers and peft."""
