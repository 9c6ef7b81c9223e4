"""What a model looks at: maps of the pixels that speak for a class, and how far they can be believed."""
