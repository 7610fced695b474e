"""The front desk: the page, its form, and the doors behind it.

It owns no model yet. It speaks to the `reservations` context through commands and queries only;
what crosses HTTP has shapes of its own (`forms.py`), never the domain's classes.
"""
