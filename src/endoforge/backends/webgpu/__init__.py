"""Trains and detects on WebGPU: tinygrad's kernels on Dawn, for any vendor's GPU."""
