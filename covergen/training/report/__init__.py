"""What is left of a training run: its log, sample sheets and report."""
