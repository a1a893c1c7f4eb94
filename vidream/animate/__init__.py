"""Animations of a still: its dream growing octave by octave, and the endless zoom."""
