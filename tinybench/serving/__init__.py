"""A registered model as a service: images in, labels with calibrated probabilities out."""
