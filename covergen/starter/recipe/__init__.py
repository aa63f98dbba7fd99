"""The training recipe of the starter: render its data, train its four models, export them."""
