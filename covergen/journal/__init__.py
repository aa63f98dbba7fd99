"""The journal: what each run wrote, and how to undo it."""
