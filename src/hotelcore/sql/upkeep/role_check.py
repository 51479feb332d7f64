"""Finds what would let a role see or change the rows of a hotel that it did not name.

The policies (`hotelcore.sql.upkeep.rls`) hold for whoever is subject to them. So what is looked at
here is the role and all that it can become, the tables with what inherits from them, their
policies, what else the role may do with them, and what else shows their rows.
"""

# The parts of the queries below are all constants of this module.
# ruff: noqa: S608

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Row, text

from hotelcore.errors import InvalidInput, RowSecurityMissing, SchemaMismatch
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.upkeep.rls import ANY_ROW, OWN_HOTEL, protection, rule_for

__all__ = ["Place", "check_row_security", "places_of", "problems_of_role"]

Found = Iterator[tuple[str, str]]
"""Problems, each with the SQL that mends it."""


@frozen
class Place:
    """A table of the library as PostgreSQL knows it: its real name, ready for a statement."""

    oid: int
    table: str
    name: str


def check_row_security(connection: Connection, names: TableNames) -> None:
    """Raise `RowSecurityMissing` with all that breaks the separation of hotels for this role.

    The role is the one that the connection was opened with. Needs a transaction on PostgreSQL.
    What a function hides in SQL that it puts together, and a table that was filled with rows of
    ours, cannot be found.
    """
    if connection.dialect.name != "postgresql":
        raise InvalidInput("database", "must be PostgreSQL: SQLite has no row-level security")
    role = connection.scalar(text("SELECT session_user"))
    places = places_of(connection, [*METADATA.tables], names)
    problems = dict(_problems(connection, str(role), places))
    if problems:
        raise RowSecurityMissing(problems)


def places_of(connection: Connection, tables: Sequence[str], names: TableNames) -> list[Place]:
    """Find tables by the library's own names; `SchemaMismatch` unless all are there."""
    real = {names.in_statement(table): table for table in tables}
    found = connection.execute(_PLACES, {"schema": names.schema, "names": [*real]}).all()
    if len(found) < len(real):
        raise SchemaMismatch("not all the tables", "them", "run 'hotelcore db upgrade'")
    return [Place(row.oid, real[row.relname], row.place) for row in found]


def _problems(connection: Connection, role: str, places: Sequence[Place]) -> Found:
    ask = _asking(connection, role, places)
    yield from problems_of_role(connection, role, places)
    yield from _of_tables(ask, {place.oid: place for place in places})
    yield from _of_parents(ask)
    yield from _of_defaults(ask)
    if not any(row.super for row in ask(_ITSELF)):  # to whom no privilege matters
        yield from _of_privileges(ask)
        yield from _of_views(ask)
        yield from _of_functions(ask, places)


Ask = Callable[..., Sequence[Row[Any]]]  # Any: what a catalogue query selects, its reader knows


def _asking(connection: Connection, role: str, places: Collection[Place]) -> Ask:
    """Make what asks the catalogue about the role and the tables."""
    about = {"role": role, "oids": [place.oid for place in places]}

    def ask(query: str, **more: str) -> Sequence[Row[Any]]:
        wanted = {name: value for name, value in about.items() if f":{name}" in query}
        return connection.execute(text(query), {**wanted, **more}).all()

    return ask


# -- the role -----------------------------------------------------------------------------------

_PLACES = text(
    """
    SELECT c.oid, c.relname, format('%I.%I', n.nspname, c.relname) AS place
    FROM unnest(CAST(:names AS text[])) wanted
    JOIN pg_class c ON c.oid = to_regclass(
        CASE WHEN CAST(:schema AS text) IS NULL THEN quote_ident(wanted)
             ELSE format('%I.%I', CAST(:schema AS text), wanted) END)
    JOIN pg_namespace n ON n.oid = c.relnamespace
    ORDER BY c.relname
    """
)
_POWERS = """
    r.rolsuper AS super, quote_ident(r.rolname) AS name,
    array_remove(ARRAY[
        CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
        CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
        CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
        CASE WHEN r.rolreplication THEN 'REPLICATION' END
    ], NULL) AS powers,
    r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
        AS reads_files,
    ARRAY(SELECT format('TABLE %I.%I', n.nspname, c.relname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.oid = ANY(CAST(:oids AS oid[])) AND c.relowner = r.oid ORDER BY c.relname)
    || ARRAY(SELECT DISTINCT format('SCHEMA %I', n.nspname)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid = ANY(CAST(:oids AS oid[])) AND n.nspowner = r.oid) AS owns
"""
_ITSELF = f"SELECT {_POWERS} FROM pg_roles r WHERE r.rolname = :role"
# What it can become, by each role that it was made a member of.
_MEMBERSHIPS = f"""
    SELECT quote_ident(g.rolname) AS through, {_POWERS}
    FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles i ON i.oid = m.member
    JOIN pg_roles r ON CASE WHEN g.rolsuper THEN r.oid = g.oid
                            ELSE pg_has_role(g.oid, r.oid, 'MEMBER') END
    WHERE i.rolname = :role
    ORDER BY g.rolname, r.rolname
"""


def problems_of_role(connection: Connection, role: str, places: Collection[Place]) -> Found:
    """Give what is wrong with the role itself, and with what it can become by ``SET ROLE``."""
    ask = _asking(connection, role, places)
    for itself in ask(_ITSELF):
        for power in itself.powers:
            yield f"role {itself.name} has {power}", f"ALTER ROLE {itself.name} NO{power}"
        for owned in itself.owns:
            yield f"role {itself.name} owns {owned}", f"ALTER {owned} OWNER TO CURRENT_USER"
        if itself.super:  # who may become anybody
            return
        becomes = defaultdict[str, list[str]](list)
        for other in ask(_MEMBERSHIPS):
            becomes[other.through] += _dangers(other)
        for through, dangers in becomes.items():
            if dangers:
                yield (
                    f"role {itself.name} is a member of {through} and so {', '.join(dangers)}",
                    f"REVOKE {through} FROM {itself.name}",
                )


def _dangers(other: Row[Any]) -> list[str]:  # Any: as in `Ask`
    dangers = [f"can become {other.name}, which has {power}" for power in other.powers]
    if other.reads_files:
        dangers.append(f"has {other.name}")
    if other.owns:
        rest = f" and {len(other.owns) - 1} more" if len(other.owns) > 1 else ""
        dangers.append(f"can become {other.name}, which owns {other.owns[0]}{rest}")
    return dangers


# A value that every session of the role begins with would stand for who says nothing.
_DEFAULTS = """
    SELECT CASE WHEN d.datname IS NULL THEN format('ROLE %I', r.rolname)
                WHEN r.rolname IS NULL THEN format('DATABASE %I', d.datname)
                ELSE format('ROLE %I IN DATABASE %I', r.rolname, d.datname) END AS whose
    FROM pg_db_role_setting s
    LEFT JOIN pg_database d ON d.oid = s.setdatabase
    LEFT JOIN pg_roles r ON r.oid = s.setrole
    WHERE (d.datname IS NULL OR d.datname = current_database())
      AND (r.rolname IS NULL OR r.rolname = :role)
      AND EXISTS (SELECT FROM unnest(s.setconfig) each
                  WHERE starts_with(each, 'hotelcore.hotel_id='))
"""


def _of_defaults(ask: Ask) -> Found:
    for row in ask(_DEFAULTS):
        yield (
            f"{row.whose} begins each session with a hotel",
            f"ALTER {row.whose} RESET hotelcore.hotel_id",
        )


# -- the tables and their policies --------------------------------------------------------------

_FAMILY = """
    WITH RECURSIVE family(oid, ancestor) AS (
        SELECT each, each FROM unnest(CAST(:oids AS oid[])) each
        UNION SELECT i.inhrelid, f.ancestor FROM pg_inherits i JOIN family f ON i.inhparent = f.oid
    )
"""
_TABLES = f"""
    {_FAMILY}
    SELECT f.oid, f.ancestor, format('%I.%I', n.nspname, c.relname) AS place,
           c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
           p.polname AS policy, quote_ident(p.polname) AS quoted, p.polpermissive AS permissive,
           p.polcmd = '*' AND p.polroles = ARRAY[CAST(0 AS oid)] AS for_all,
           pg_get_expr(p.polqual, p.polrelid) AS shown,
           pg_get_expr(p.polwithcheck, p.polrelid) AS taken
    FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_policy p ON p.polrelid = f.oid
    ORDER BY c.relname, p.polname
"""


def _of_tables(ask: Ask, places: Mapping[int, Place]) -> Found:
    policies = defaultdict[tuple[int, int], list[Row[Any]]](list)  # Any: as in `Ask`
    for row in ask(_TABLES):
        policies[row.oid, row.ancestor].append(row)
    for (_, ancestor), rows in policies.items():
        rule = rule_for(places[ancestor].table)
        yield from _of_table(rows, *protection(rows[0].place, rule), rule=rule)


def _of_table(
    rows: Sequence[Row[Any]],  # Any: as in `Ask`
    enable: str,
    force: str,
    any_row: str,
    own_hotel: str,
    *,
    rule: str,
) -> Found:
    place = rows[0].place
    if not rows[0].enabled:
        yield f"{place} has no row-level security", enable
    if not rows[0].forced:
        yield f"{place} does not hold its owner to row-level security", force
    by_name = {row.policy: row for row in rows if row.policy is not None}
    ours = by_name.pop(ANY_ROW, None)
    if ours is None or not (ours.permissive and ours.for_all and ours.shown == "true"):
        yield f"{place} lacks the policy {ANY_ROW}", _anew(ANY_ROW, place, any_row)
    ours = by_name.pop(OWN_HOTEL, None)
    if ours is None or not _is_restricting(ours, rule):
        yield f"{place} lacks the policy {OWN_HOTEL}", _anew(OWN_HOTEL, place, own_hotel)
    for row in by_name.values():
        if row.permissive:
            yield (
                f"{place} has one more permissive policy, {row.quoted}",
                f"DROP POLICY {row.quoted} ON {place}",
            )


def _anew(policy: str, place: str, create: str) -> str:
    return f"DROP POLICY IF EXISTS {policy} ON {place}; {create}"


def _is_restricting(row: Row[Any], rule: str) -> bool:  # Any: as in `Ask`
    both = {_bare(row.shown or ""), _bare(row.taken or "")}
    return not row.permissive and row.for_all and both == {_bare(rule)}


def _bare(condition: str) -> str:
    """Reduce a condition to what is the same however PostgreSQL prints it.

    It prints brackets of its own, a cast as ``::``, and the type of each literal.
    """
    condition = re.sub(r"CAST\((.*?) AS uuid\)", r"\1::uuid", condition)
    return re.sub(r"::text|[()\s]", "", condition)


_PARENTS = """
    SELECT format('%I.%I', n.nspname, c.relname) AS place, c.relispartition AS partition,
           format('%I.%I', m.nspname, p.relname) AS parent
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace m ON m.oid = p.relnamespace
    WHERE i.inhrelid = ANY(CAST(:oids AS oid[]))
"""


def _of_parents(ask: Ask) -> Found:
    for row in ask(_PARENTS):
        parted = f"ALTER TABLE {row.parent} DETACH PARTITION {row.place}"
        apart = f"ALTER TABLE {row.place} NO INHERIT {row.parent}"
        yield (
            f"{row.place} is read through {row.parent} by the policies of that",
            parted if row.partition else apart,
        )


# -- what else the role may do, and what else shows the rows ------------------------------------

_GRANTED = """
    SELECT c.oid, a.grantee, a.privilege_type AS privilege
    FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
    WHERE c.relkind IN ('r', 'p', 'v', 'm')
    UNION SELECT t.attrelid, a.grantee, a.privilege_type
    FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attacl IS NOT NULL
"""
_HELD = """
    (g.grantee = 0 OR pg_has_role(CAST(:role AS name), g.grantee, 'MEMBER'))
"""
_GRANTEE = "CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END"
# What an owner may do by itself is no grant; that there is such an owner is told before.
_PRIVILEGES = f"""
    {_FAMILY}, granted AS ({_GRANTED})
    SELECT format('%I.%I', n.nspname, c.relname) AS place, {_GRANTEE} AS grantee,
           string_agg(DISTINCT g.privilege, ', ') AS privileges
    FROM granted g JOIN pg_class c ON c.oid = g.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE g.oid IN (SELECT oid FROM family) AND g.grantee <> c.relowner AND {_HELD}
      AND g.privilege IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
    GROUP BY 1, 2 ORDER BY 1, 2
"""


def _of_privileges(ask: Ask) -> Found:
    for row in ask(_PRIVILEGES):
        yield (
            f"{row.grantee} has {row.privileges} on {row.place}, where no policy counts",
            f"REVOKE {row.privileges} ON {row.place} FROM {row.grantee}",
        )


_VIEWS = f"""
    {_FAMILY}, shown(oid) AS (
        SELECT oid FROM family
        UNION SELECT w.ev_class FROM shown s
        JOIN pg_depend d ON d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid = s.oid
                        AND d.classid = CAST('pg_rewrite' AS regclass)
        JOIN pg_rewrite w ON w.oid = d.objid
    ), granted AS ({_GRANTED})
    SELECT DISTINCT format('%I.%I', n.nspname, c.relname) AS place, c.relkind = 'm' AS materialised,
           g.grantee = c.relowner AS owned, {_GRANTEE} AS grantee
    FROM granted g JOIN pg_class c ON c.oid = g.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE g.oid IN (SELECT oid FROM shown) AND c.relkind IN ('v', 'm') AND {_HELD}
      AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) o
                      WHERE o.option_name = 'security_invoker' AND CAST(o.option_value AS bool))
    ORDER BY place
"""


def _of_views(ask: Ask) -> Found:
    for row in ask(_VIEWS):
        if not row.materialised:
            yield (
                f"the view {row.place} shows the rows that its owner may see",
                f"ALTER VIEW {row.place} SET (security_invoker = true)",
            )
        elif row.owned:
            yield (
                f"{row.grantee} owns the materialised view {row.place}, which has no policies",
                f"ALTER MATERIALIZED VIEW {row.place} OWNER TO CURRENT_USER",
            )
        else:
            yield (
                f"{row.grantee} may read the materialised view {row.place}, which has no policies",
                f"REVOKE ALL ON {row.place} FROM {row.grantee}",
            )


_FUNCTIONS = """
    SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
           AS place, quote_ident(o.rolname) AS owner
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_roles o ON o.oid = p.proowner
    WHERE p.prosecdef AND (o.rolsuper OR o.rolbypassrls)
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND has_function_privilege(CAST(:role AS name), p.oid, 'EXECUTE')
      AND (p.prosrc ~ :mentioned OR EXISTS (
          SELECT FROM pg_depend d WHERE d.classid = CAST('pg_proc' AS regclass)
             AND d.objid = p.oid AND d.refclassid = CAST('pg_class' AS regclass)
             AND d.refobjid = ANY(CAST(:oids AS oid[]))))
    ORDER BY 1
"""


def _of_functions(ask: Ask, places: Sequence[Place]) -> Found:
    plain = "|".join(place.name.rpartition(".")[2] for place in places)
    for row in ask(_FUNCTIONS, mentioned=rf"\m({plain})\M"):
        yield (
            f"the function {row.place} works with the rights of {row.owner}, whom no policy holds",
            f"ALTER ROUTINE {row.place} SECURITY INVOKER",
        )
