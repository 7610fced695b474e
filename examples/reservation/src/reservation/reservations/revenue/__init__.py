"""What the stays brought in, by market segment and month."""
