"""Pairs of embeddings and pictures to an adapter."""
