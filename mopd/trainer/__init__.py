"""What a training step holds: weights, optimizer and teacher, on the device, the host or the disk."""
