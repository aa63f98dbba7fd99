"""The shared types, the error tree, the paths: imports nothing of the project."""
