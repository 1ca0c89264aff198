"""The `detect` command: any pictures or videos in, detections drawn and written."""
