"""models.toml to validated presets, and presets to folders of weights."""
