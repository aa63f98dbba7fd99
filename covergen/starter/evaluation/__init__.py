"""Metrics of the starter's covers on music that was not used for training."""
