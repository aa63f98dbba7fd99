"""Plugins for other programs, which run covergen as a command."""
