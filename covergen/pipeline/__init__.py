"""Plan, embed, paint and write, as stages over iterators."""
