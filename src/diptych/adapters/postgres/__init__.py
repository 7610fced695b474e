"""The adapter for PostgreSQL 15 and newer, on asyncpg."""
