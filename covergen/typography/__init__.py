"""Titles on covers: line breaking, layouts, and colors that can be read."""
