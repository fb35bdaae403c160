"""The model card of a policy: what it is, how it was made, what it measured, how it is loaded."""
