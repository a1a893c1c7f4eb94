"""Renders the scenes of clips on many machines, by Dask distributed."""
