"""From captures to batches: split, pack, load, augment."""
