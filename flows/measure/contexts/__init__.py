"""Contexts beside each other: what the teacher sees under each, and what the student gains from it."""
