"""What a training step holds, on a rank or several: weights, optimizer, teacher; on the device, the host, the disk."""
