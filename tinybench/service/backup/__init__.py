"""Backups of the tracking service, and restores that are compared with what was backed up."""
