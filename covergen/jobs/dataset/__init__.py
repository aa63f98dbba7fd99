"""Create and check datasets."""
