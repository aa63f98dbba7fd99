"""The poster model: a procedural painter driven by the mood of music."""
