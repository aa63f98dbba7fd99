"""One file for each action of the user: the only room that sees all the others."""
