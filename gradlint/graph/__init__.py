"""Models as graphs: an interpretation that runs constructors and forward passes on abstract tensors."""
