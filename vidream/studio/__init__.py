"""The studio: a page in the browser that shows what settings give, renders, and dreams live."""
