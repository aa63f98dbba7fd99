"""Finishes: what is done to a picture after it is painted."""
