"""The training harness: configuration, loop, checkpoints, and where its reports go."""
