"""What is done to a frame: the dream, AdaIN, PixelNN, plugins; one registry."""
