"""gradlint predicts what the gradient will do in PyTorch code, and points at the line."""

__version__ = "0.1.0"
