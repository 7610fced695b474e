"""The log in Python, for tests and simulations: the same rules, nothing on disk."""
