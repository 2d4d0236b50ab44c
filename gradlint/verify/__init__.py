"""Verification: what a finding claims is held against a real forward and backward pass."""
