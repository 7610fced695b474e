"""What writes pages of the documentation from code: `python -m scripts.reference`, and others."""
