"""The edge: what the ports look like on real databases, clocks and chance."""
