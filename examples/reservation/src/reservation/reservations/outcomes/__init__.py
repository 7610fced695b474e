"""How reservations end: the cancellation rate, and the totals that are held against the oracle."""
