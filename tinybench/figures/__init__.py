"""Pictures: arrays in, a matplotlib figure out. The only place that imports matplotlib."""
