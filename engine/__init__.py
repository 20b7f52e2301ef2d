"""What runs a method: the loop, its randomness, its processes, and the checkpoint."""
