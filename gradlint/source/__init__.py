"""From paths to texts: discovery, decoding, notebooks, triage."""
