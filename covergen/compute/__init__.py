"""PyTorch devices: selection, memory, and oneDNN layers for the CPU."""
