"""Pages about what was measured, with charts and frames drawn, and the command `eval`."""
