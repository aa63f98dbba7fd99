"""Titles on covers: line breaking, layouts, and colours that can be read."""
