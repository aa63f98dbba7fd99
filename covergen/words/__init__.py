"""Words for music, found without training, and the prompt that they make."""
