"""Adapter training on pairs of embeddings and cover pictures."""
