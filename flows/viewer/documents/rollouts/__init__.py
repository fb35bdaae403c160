"""Rollouts: one through its teacher's eyes, those of a round as a table, and the words of their tokens."""
