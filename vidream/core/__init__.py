"""Frames, settings, errors, image tensors, devices, queues, and the contracts."""
