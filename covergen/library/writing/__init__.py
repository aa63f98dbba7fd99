"""The only code that opens a music file for writing."""
