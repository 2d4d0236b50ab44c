"""Gradient flow: second moments forward and gains backward through the graph of a model."""
