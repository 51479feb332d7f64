"""Storage in SQLite and PostgreSQL: a subject's table, row mapping and repository in one module."""
