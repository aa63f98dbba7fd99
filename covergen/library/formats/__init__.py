"""Read and edit the tags of each format, as raw bytes: one module per tag format.

The modules work on open files. They change nothing but the cover.
"""
