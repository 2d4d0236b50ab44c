"""Frozen records that every layer shares: spans, findings, the intermediate representation, facts."""
