"""Settings: what they are, where they are found, how they combine."""
