"""Scan music files, and read and write their tags. The only package that imports mutagen."""
