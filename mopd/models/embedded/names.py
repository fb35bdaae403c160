"""What `model.path` may say instead of a folder."""

EMBEDDED_MODEL = "embedded:smollm2-135m-instruct"
"""The default: a Python package of the project's environment."""
CODER_MODEL = "embedded:qwen2.5-coder-0.5b-instruct"
"""Fetched on first use."""
TINY_MODEL = "tiny:llama"
"""Random weights, for tests."""
