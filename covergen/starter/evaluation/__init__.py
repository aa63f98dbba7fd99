"""What the starter's covers are worth, in figures, on music that its training never heard."""
