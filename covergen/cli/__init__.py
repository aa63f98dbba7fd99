"""Click and nothing else: options, rendering of events, exit codes."""
