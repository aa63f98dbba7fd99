"""The command line: options, rendering of events, exit codes. The only room that imports Click."""
