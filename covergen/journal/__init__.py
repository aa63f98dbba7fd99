"""What each run wrote, and how it is undone."""
