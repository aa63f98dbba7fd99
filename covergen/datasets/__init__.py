"""Pairs of music and covers for training: read from a folder, or made from a library or Jamendo."""
