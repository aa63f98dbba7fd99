"""Folders and files to albums."""
