"""Read and edit tags as raw bytes: one module per tag format. Nothing but the cover changes."""
