"""Make pairs from Jamendo, a catalog of music under Creative Commons licenses."""
