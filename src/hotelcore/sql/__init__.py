"""Storage in SQL, on SQLite and PostgreSQL: a subject's table, row mapping and repository together."""
