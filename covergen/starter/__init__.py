"""The starter model: its synthetic training data, its weights and its training recipe."""
