"""From a job to a finished file: the loop, segments, checkpoints, resume."""
