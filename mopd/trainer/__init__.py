"""What a training step holds, on one rank or several: weights, optimizer, teacher; on the device, the host, the disk."""
