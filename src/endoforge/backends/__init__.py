"""Does the arithmetic of training and detecting, on PyTorch or on WebGPU."""
