"""Remove for ever what was deleted, and never what something still needs."""
