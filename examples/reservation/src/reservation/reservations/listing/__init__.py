"""The list: each reservation as a person at the desk sees it."""
