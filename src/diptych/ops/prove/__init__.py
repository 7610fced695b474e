"""The proof that the log's feed on PostgreSQL loses nothing, run against a server of the user's."""
