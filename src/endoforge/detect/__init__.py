"""What is learned: TinyDet, its targets and loss, and boxes out of its raw output."""
