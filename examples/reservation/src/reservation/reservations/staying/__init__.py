"""The guest comes, stays and leaves; or does not come."""
