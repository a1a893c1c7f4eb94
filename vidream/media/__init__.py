"""Everything that touches a file: sources, targets, decoding, encoding, stills, metadata."""
