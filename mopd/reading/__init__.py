"""Passes of models over rollouts: trees, attention, the output layer."""
