"""Makes detections of any pictures or videos, drawn and written: the `detect` command."""
