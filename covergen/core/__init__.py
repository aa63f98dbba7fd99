"""Types, errors and helpers shared by every room; imports nothing else from covergen."""
