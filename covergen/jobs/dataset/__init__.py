"""Make datasets and check them."""
