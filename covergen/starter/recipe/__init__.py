"""How the starter model is made: its world rendered, its four models trained, and exported."""
