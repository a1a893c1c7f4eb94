"""Turn a video into a DeepDream that holds still on what it grows on."""
