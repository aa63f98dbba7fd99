"""The starter model: the world that it is trained on, its weights, and the recipe for them."""
