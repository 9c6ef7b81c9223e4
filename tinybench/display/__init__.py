"""Progress and tables for people, in terminals and notebooks."""
