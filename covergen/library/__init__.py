"""Music files on disk: the only room that imports mutagen."""
