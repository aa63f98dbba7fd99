"""What commands print: text, JSON Lines, progress."""
