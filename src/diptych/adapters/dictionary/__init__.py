"""Views in plain dictionaries of the process."""
