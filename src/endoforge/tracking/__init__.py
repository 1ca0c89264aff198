"""Follows what a detector finds through a video: the same lesion keeps its number."""
