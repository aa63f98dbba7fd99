"""The page on which the user chooses among the covers of a preview."""
