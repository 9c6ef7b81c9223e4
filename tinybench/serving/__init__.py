"""A registered model as a service: pictures in, labels with calibrated probabilities out."""
