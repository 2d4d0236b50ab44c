"""Findings in every output format, one module per format."""
