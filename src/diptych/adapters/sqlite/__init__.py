"""SQLite: one file in WAL mode, one writer's turn, readers beside it."""
