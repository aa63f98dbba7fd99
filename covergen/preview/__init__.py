"""Preview folders: their manifest, page and choices."""
