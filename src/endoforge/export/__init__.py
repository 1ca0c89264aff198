"""A trained detector as a file that other programs run: ONNX, checked against the original."""
