"""The configuration of a run: sections, fields, and TOML files. Standard library only."""
