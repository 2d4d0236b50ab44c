"""What a rule is, and where rules come from."""
