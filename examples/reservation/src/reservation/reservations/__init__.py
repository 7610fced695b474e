"""The bounded context that decides: it owns the reservations and the nights they take.

One folder per feature. `write.py` holds the feature's commands, its decisions and how its events
change the state; `read.py` holds a query model and its questions. Write and read never import one
another: they meet in `events.py`, as the log does.
"""
