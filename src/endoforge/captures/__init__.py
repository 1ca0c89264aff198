"""The on-disk contract of capture runs: schema, recorder, index, prune, overlay."""
