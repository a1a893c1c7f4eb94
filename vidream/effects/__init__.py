"""Processors other than the dreamer, each registered in pyproject.toml as a plugin would be."""
