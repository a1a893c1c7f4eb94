"""The dreamer: gradient ascent on an image by octaves, and the refinement of carried dreams."""
