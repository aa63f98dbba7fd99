"""PyTorch on a device: which one, what fits into its memory, and oneDNN on the CPU."""
