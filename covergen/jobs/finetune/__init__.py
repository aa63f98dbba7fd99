"""Train an adapter on a dataset."""
