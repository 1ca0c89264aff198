"""Where the arithmetic of training runs."""
