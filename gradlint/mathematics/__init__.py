"""Mathematics that knows nothing of programs: intervals, Gaussian expectations, activations."""
