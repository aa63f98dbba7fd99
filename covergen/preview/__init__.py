"""Everything between painting a preview and applying it."""
