"""How anything follows the log: in order, from where it was, and on when there is more."""
