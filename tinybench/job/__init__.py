"""Train and log one run: the parent run, its phases, its folds, and what is logged about them."""
