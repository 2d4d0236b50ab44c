"""A page for a browser: plots of every model that ran, and the findings; one file, no scripts."""
