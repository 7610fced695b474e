"""The hinge: what is written, under which names, and how it is read back."""
