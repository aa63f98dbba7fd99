"""The front cover in each kind of container: one file per container."""
