"""What a database's catalogue says about the library's tables, so that two can be compared."""

from __future__ import annotations

from sqlalchemy import Connection, text

from hotelcore.sql.schema import TableNames

_SQLITE = """
SELECT type, name, tbl_name, sql FROM sqlite_master
WHERE sql IS NOT NULL AND substr(tbl_name, 1, length(:prefix)) = :prefix
"""
_POSTGRESQL = (
    """
SELECT 'column', c.relname, a.attnum::text, a.attname || ' ' ||
  format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' ||
  coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' ||
  coalesce((SELECT collname FROM pg_collation WHERE oid = a.attcollation), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND a.attnum > 0 AND c.relnamespace = CAST(:schema AS regnamespace)
  AND starts_with(c.relname, :prefix)
""",
    """
SELECT 'constraint', c.relname, k.conname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE k.contype <> 'n' AND c.relnamespace = CAST(:schema AS regnamespace)
  AND starts_with(c.relname, :prefix)
""",
    """
SELECT 'index', tablename, indexname, indexdef FROM pg_indexes
WHERE schemaname = :schema AND starts_with(tablename, :prefix)
""",
    """
SELECT 'statistics', c.relname, s.stxname, pg_get_statisticsobjdef(s.oid)
FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid
WHERE c.relnamespace = CAST(:schema AS regnamespace) AND starts_with(c.relname, :prefix)
""",
    """
SELECT 'trigger', c.relname, t.tgname, pg_get_triggerdef(t.oid) || pg_get_functiondef(t.tgfoid)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace = CAST(:schema AS regnamespace)
  AND starts_with(c.relname, :prefix)
""",
    """
SELECT 'row security', relname, relrowsecurity || ' ' || relforcerowsecurity FROM pg_class
WHERE relkind = 'r' AND relnamespace = CAST(:schema AS regnamespace)
  AND starts_with(relname, :prefix)
""",
    """
SELECT 'policy', tablename, policyname,
  concat_ws(' ', permissive, roles, cmd, qual, 'CHECK', with_check)
FROM pg_policies WHERE schemaname = :schema AND starts_with(tablename, :prefix)
""",
)


def described(connection: Connection, names: TableNames | None = None) -> dict[str, str]:
    """Return each column, constraint, index, statistic, trigger and policy, with neutral names."""
    names = names or TableNames()
    schema = names.schema or "public"
    values = {"prefix": names.prefix, "schema": schema}
    queries = (_SQLITE,) if connection.dialect.name == "sqlite" else _POSTGRESQL
    found: dict[str, str] = {}
    for query in queries:
        wanted = {name: value for name, value in values.items() if f":{name}" in query}
        for *key, definition in connection.execute(text(query), wanted):
            plain = (" ".join(part.split()) for part in (" ".join(key), definition))
            name, content = (_neutral(part, names.prefix, schema) for part in plain)
            found[name] = content
    return found


def _neutral(definition: str, prefix: str, schema: str) -> str:
    return definition.replace(prefix, "hc_").replace(f"{schema}.", "")
