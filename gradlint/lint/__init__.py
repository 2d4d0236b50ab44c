"""From settings and paths to findings: the pipeline, its cache, suppressions and baselines."""
