"""The version of the program."""

VERSION = "0.6.0"
"""As in pyproject.toml; by Semantic Versioning."""
