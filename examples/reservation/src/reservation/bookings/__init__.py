"""Real bookings as input: the file, the guests it lacks, and the order in which things happened."""
