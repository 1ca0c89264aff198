"""From the world to the disk: simulated frames recorded as capture runs."""
