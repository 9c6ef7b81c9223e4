"""Draw matplotlib figures from arrays; no other package imports matplotlib at run time."""
