"""models.toml to validated presets, and presets to their files on disk or the Hub."""
