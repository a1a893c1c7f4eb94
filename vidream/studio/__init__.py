"""The studio: a page in the browser that shows what settings give, renders, and dreams live."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of the machine itself."""
