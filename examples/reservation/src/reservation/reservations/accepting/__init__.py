"""The hotel answers a request: a room on every night of the stay, or no."""
