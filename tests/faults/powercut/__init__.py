"""A power cut at every write: record the adapter's SQL, replay it over a disk that forgets."""
