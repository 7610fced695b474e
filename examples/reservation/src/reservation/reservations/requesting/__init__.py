"""Somebody asks for a stay: answered at once, decided later."""
