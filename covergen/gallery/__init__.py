"""Contact sheets, thumbnails, fonts and lettering."""
