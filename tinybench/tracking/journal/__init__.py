"""The journal: everything that is logged is written to this machine first, then sent to the store."""
