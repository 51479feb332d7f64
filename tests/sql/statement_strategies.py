"""Random statements over two tables of two hotels, for the rule that binds statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Integer,
    MetaData,
    Select,
    Table,
    Update,
    and_,
    delete,
    exists,
    func,
    insert,
    join,
    not_,
    or_,
    select,
    true,
    union,
    update,
)
from sqlalchemy.sql.selectable import SelectBase

from hotelcore.sql.seam.statements import acting_hotel

# mypy: disable-error-code="no-any-return, arg-type, assignment, return-value"
# Hypothesis draws from a choice of kinds as `object`, and a random SELECT has columns of any kind.
# `Any` in this module: what a random statement yields is of no one type.
Statement: TypeAlias = Select[Any] | Update | Delete | Insert
Condition: TypeAlias = ColumnElement[bool]

OURS, THEIRS = 1, 2
"""Two hotels. Other columns hold these numbers too, so that a confusion of columns shows."""

WORLD = MetaData()


def tenant_table(name: str) -> Table:
    """Declare a table of rows of hotels."""
    return Table(
        name,
        WORLD,
        Column("row", Integer, primary_key=True),
        Column("hotel_id", Integer, nullable=False),
        Column("n", Integer),
    )


ROOMS, STAYS = tenant_table("rooms"), tenant_table("stays")
RATES = Table("rates", WORLD, Column("row", Integer, primary_key=True), Column("n", Integer))

numbers = st.sampled_from([OURS, THEIRS, None])
contents = st.fixed_dictionaries(
    {
        table.name: st.lists(
            st.tuples(st.sampled_from([OURS, THEIRS]), numbers), min_size=1, max_size=5
        )
        for table in (ROOMS, STAYS)
    }
)
"""What the two tables hold, a pair of hotel and number a row."""


@st.composite
def leaves(draw: st.DrawFn, depth: int, outer: Sequence[FromClause]) -> FromClause:
    """Give something to select from."""
    table = draw(st.sampled_from([ROOMS, STAYS]))
    kinds = ["table", "alias", "alias", "alias", "rates"]
    if depth:
        kinds += ["subquery", "cte", "recursive"]
    kind = draw(st.sampled_from(kinds))
    if kind == "table":
        return table
    if kind == "rates":
        return RATES.alias()
    if kind == "subquery":
        return draw(queries(depth - 1, ())).subquery()
    if kind == "cte":
        return draw(queries(depth - 1, ())).cte()
    if kind == "recursive":
        return draw(recursive(depth - 1))
    return table.alias()


@st.composite
def recursive(draw: st.DrawFn, depth: int) -> FromClause:
    """Give a common table expression that refers to itself; it ends, since rows are finite."""
    first = draw(selects(depth, ())).cte(recursive=True)
    more = draw(st.sampled_from([ROOMS, STAYS])).alias()
    froms = [first, more]
    step = select(draw(hotel_columns(froms)).label("hotel_id"), more.c.n.label("n")).where(
        *draw(st.lists(conditions(depth, froms, ()), max_size=2)),
        *draw(ties(froms, ())),
    )
    return first.union(step)


@st.composite
def hotel_columns(draw: st.DrawFn, froms: Sequence[FromClause]) -> ColumnElement[Any]:
    """Give what a query yields as its hotel: mostly that, sometimes something else."""
    from_ = draw(st.sampled_from(froms))
    kind = draw(st.sampled_from(["hotel", "hotel", "hotel", "n", "acting"]))
    if kind == "acting":
        return acting_hotel()
    return from_.c.get("hotel_id" if kind == "hotel" else "n", from_.c.n)


@st.composite
def comparisons(draw: st.DrawFn, froms: Sequence[FromClause]) -> Condition:
    """Give a comparison of two columns, or of one with the acting hotel or a number."""
    left, right = (draw(st.sampled_from(froms)) for _ in range(2))
    name, other = (draw(st.sampled_from(["hotel_id", "n"])) for _ in range(2))
    column = left.c.get(name, left.c.n)
    value: object = draw(
        st.sampled_from([acting_hotel(), right.c.get(other, right.c.n), OURS, THEIRS])
    )
    return draw(st.sampled_from([column == value, column != value, column.is_(None)]))


@st.composite
def tie(draw: st.DrawFn, leaf: FromClause, others: Sequence[FromClause]) -> Condition:
    """Give what ties a table, directly or by another, to the acting hotel."""
    column = leaf.c.get("hotel_id", leaf.c.n)
    if others and draw(st.booleans()):
        other = draw(st.sampled_from(others))
        return column == other.c.get("hotel_id", other.c.n)
    return column == acting_hotel()


@st.composite
def ties(
    draw: st.DrawFn, froms: Sequence[FromClause], outer: Sequence[FromClause]
) -> list[Condition]:
    """Give a tie for most of the tables, in any order."""
    found = [
        draw(tie(leaf, [*outer, *(f for f in froms if f is not leaf)]))
        for leaf in froms
        if "hotel_id" in leaf.c and draw(st.integers(0, 9)) > 0
    ]
    if found and draw(st.integers(0, 9)) == 0:
        weak = draw(st.sampled_from([or_, lambda *each: not_(and_(*each))]))
        return [weak(*found, draw(comparisons(froms)))]
    return draw(st.permutations(found))


@st.composite
def conditions(
    draw: st.DrawFn, depth: int, froms: Sequence[FromClause], outer: Sequence[FromClause]
) -> Condition:
    """Give a condition, also one with a query in it that refers to what is around it."""
    seen = [*outer, *froms]
    kind = draw(st.sampled_from(["plain", "plain", "or", "not", "exists", "in", "scalar"]))
    if kind == "or":
        return or_(draw(comparisons(seen)), draw(comparisons(seen)))
    if kind == "not":
        return not_(and_(draw(comparisons(seen)), draw(comparisons(seen))))
    if kind == "plain" or not depth:
        return draw(comparisons(seen))
    inner = draw(selects(depth - 1, seen))
    if kind == "exists":
        found = exists(inner)
        return draw(st.sampled_from([found, ~found]))
    column = draw(st.sampled_from(froms)).c.n
    if kind == "in":
        return column.in_(inner.with_only_columns(inner.selected_columns.n))
    return column == counted(inner)


def counted(query: Select[Any]) -> ColumnElement[Any]:
    """Turn a query into the number of its rows."""
    return query.with_only_columns(func.count(), maintain_column_froms=True).scalar_subquery()


@st.composite
def selects(draw: st.DrawFn, depth: int, outer: Sequence[FromClause]) -> Select[Any]:
    """Give a SELECT of two columns, a hotel and a number."""
    froms = draw(st.lists(leaves(depth, outer), min_size=1, max_size=3, unique_by=id))
    # Any: SQLAlchemy types a query by its columns, and these change.
    query: Any = select(draw(hotel_columns(froms)).label("hotel_id"), froms[-1].c.n)
    tied = draw(ties(froms, outer))
    if len(froms) > 1 and draw(st.integers(0, 2)):
        # Where a tie stands in a join is what decides whether it is one.
        number = draw(st.integers(0, len(tied)))
        query = query.select_from(draw(joined(froms, tied[:number])))
        tied = tied[number:]
    else:
        query = query.select_from(*froms)
    query = query.where(*tied, *draw(st.lists(conditions(depth, froms, outer), max_size=1)))
    if depth and draw(st.integers(0, 4)) == 0:
        inner = counted(draw(selects(depth - 1, [*outer, *froms])))
        query = query.with_only_columns(
            query.selected_columns.hotel_id, inner.label("n"), maintain_column_froms=True
        )
    correlation = draw(st.sampled_from(["automatic", "automatic", "none", "some", "all but"]))
    if correlation == "none":
        query = query.correlate(None)
    elif outer and correlation == "some":
        query = query.correlate(draw(st.sampled_from(outer)))
    elif outer and correlation == "all but":
        query = query.correlate_except(draw(st.sampled_from(froms)))
    if draw(st.integers(0, 5)) == 0:
        query = query.order_by(*query.selected_columns).limit(1)
    return query


@st.composite
def joined(
    draw: st.DrawFn, froms: Sequence[FromClause], tied: Sequence[Condition] = ()
) -> FromClause:
    """Join tables by inner, left and full joins, in any nesting, under these conditions."""
    if len(froms) == 1:
        return froms[0]
    at = draw(st.integers(1, len(froms) - 1))
    left, right = draw(joined(froms[:at])), draw(joined(froms[at:]))
    more = [true()] if draw(st.booleans()) else [draw(comparisons(froms))]
    how = draw(st.sampled_from([{}, {"isouter": True}, {"isouter": True}, {"full": True}]))
    return join(left, right, and_(*tied, *more), **how)


@st.composite
def queries(draw: st.DrawFn, depth: int, outer: Sequence[FromClause]) -> SelectBase:
    """Give a SELECT or a UNION of two."""
    one = draw(selects(depth, outer))
    if draw(st.integers(0, 3)):
        return one
    both = [query.limit(None).order_by(None) for query in (one, draw(selects(depth, outer)))]
    return union(*both)


@st.composite
def changes(draw: st.DrawFn) -> Statement:
    """Give an UPDATE, DELETE or INSERT."""
    table = draw(st.sampled_from([ROOMS, STAYS]))
    kind = draw(st.sampled_from(["update", "update from", "delete", "insert", "insert from"]))
    if kind.startswith("insert"):
        return draw(inserts(table, from_select=kind == "insert from"))
    others = [draw(leaves(1, ()))] if kind == "update from" else []
    froms = [table, *(other for other in others if other is not table)]
    where = [*draw(st.lists(conditions(1, froms, ()), max_size=2)), *draw(ties(froms, ()))]
    if kind == "delete":
        return delete(table).where(*where)
    values: dict[str, object] = {"n": draw(st.sampled_from([OURS, froms[-1].c.n]))}
    if draw(st.booleans()):
        values["n"] = counted(draw(selects(1, froms)))
    if draw(st.integers(0, 4)) == 0:
        values["hotel_id"] = draw(st.sampled_from([acting_hotel(), froms[-1].c.n, THEIRS]))
    return update(table).where(*where).values(values)


@st.composite
def inserts(draw: st.DrawFn, table: Table, *, from_select: bool) -> Insert:
    """Give an INSERT of values or of a query."""
    if from_select:
        query = draw(queries(1, ()))
        return insert(table).from_select(["hotel_id", "n"], query)
    values: dict[str, object] = {
        "hotel_id": draw(st.sampled_from([acting_hotel(), acting_hotel(), OURS, THEIRS])),
        "n": draw(st.sampled_from([OURS, THEIRS])),
    }
    if draw(st.booleans()):
        values["n"] = counted(draw(selects(1, ())))
    return insert(table).values(values)


statements: st.SearchStrategy[Any] = queries(2, ()) | changes()  # Any: see above
"""Any statement; about every third of them is bound."""
