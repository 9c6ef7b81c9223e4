"""Copy everything of a tracking store to another one, so that copying again changes nothing."""
