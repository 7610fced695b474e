"""The read panel: query models folded from the log, and the answers given from them."""
