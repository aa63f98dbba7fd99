"""One file per user action; wiring only. The only room that may import all the others."""
