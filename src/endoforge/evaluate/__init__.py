"""How good a detector is: one set of metrics, in training, in `eval` and in reports."""
