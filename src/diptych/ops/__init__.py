"""What operators do with an app, declared once in `verbs.py`; the command line is made from it."""
