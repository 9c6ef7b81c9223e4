"""Classify images with a saved model. Evaluation, serving and the logged model share this code."""
