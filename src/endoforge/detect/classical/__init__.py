"""What classical vision sees of a frame: its view, candidates, their contours and features."""
