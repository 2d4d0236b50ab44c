"""What the order of events says of a training step: what comes first, what is missing, what is too late."""
