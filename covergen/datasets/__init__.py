"""Where pairs of music and covers come from: a folder, one's own library, Jamendo."""
