"""Read and edit tags as raw bytes: one module per tag format, which changes nothing but the cover."""
