"""Networks: their layers, geometry and weights."""
