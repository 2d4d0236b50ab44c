"""What the code means: names, values, the evaluator and its interpretations."""
