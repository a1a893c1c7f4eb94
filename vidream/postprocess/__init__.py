"""What becomes of an image before it is shown: strength, edges, colour, masks."""
