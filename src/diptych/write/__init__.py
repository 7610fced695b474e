"""The write panel: command models, and the shell that loads, decides and saves."""
