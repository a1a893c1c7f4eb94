"""Processors other than the dreamer. ``none`` is registered in pyproject.toml as a plugin is."""
