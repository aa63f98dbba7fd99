"""Find music files and group them into albums."""
