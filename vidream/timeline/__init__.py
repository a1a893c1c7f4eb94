"""Settings over time: keyframes and audio envelopes."""
