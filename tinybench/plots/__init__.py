"""Draw matplotlib figures from arrays. The only package that imports matplotlib."""
