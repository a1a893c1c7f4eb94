"""Optical flow, tracking, and the propagation of a dream from frame to frame."""
