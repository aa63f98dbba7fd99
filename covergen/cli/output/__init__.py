"""The output of commands: text, JSON Lines and progress bars."""
