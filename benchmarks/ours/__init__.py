"""The same work done by diptych."""
