"""Judges by its structure alone whether a statement is bound to the acting hotel.

Each occurrence of a tenant table (one with a column ``hotel_id``) must be tied: its ``hotel_id`` is
set equal to `ActingHotel`, or to another ``hotel_id`` that is tied. Then its rows of other hotels
can as well not be there, whatever the rest of the statement does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias
from uuid import UUID

from attrs import define, field, frozen
from sqlalchemy import (
    CTE,
    Alias,
    BinaryExpression,
    BindParameter,
    ColumnClause,
    CompoundSelect,
    Delete,
    FromClause,
    Insert,
    Join,
    Label,
    Select,
    Subquery,
    Table,
    TableValuedAlias,
    Update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.sql import elements, operators
from sqlalchemy.sql.base import _from_objects
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.schema import ColumnElementColumnDefault
from sqlalchemy.sql.selectable import FromGrouping, SelectBase, SelectStatementGrouping

from hotelcore.errors import UnboundStatement
from hotelcore.sql.schema import METADATA
from hotelcore.sql.seam.plain import cannot_be_judged, must_be_plain, must_have_no_additions

__all__ = ["ACTING_HOTEL", "JUDGEABLE", "ActingHotel", "Judge"]

# `Any` in this module: the columns that a statement yields are no matter.
Place: TypeAlias = tuple[FromClause, str]
"""A column of one occurrence of a table, by its key."""

ACTING_HOTEL = "acting_hotel"
"""The name of the parameter to which the seam alone gives a value."""
JUDGEABLE = (Select, CompoundSelect, Insert, Update, Delete)
"""The kinds of statements."""
_HOTEL_ID = "hotel_id"
_SERVED = frozenset({"hc_feed", "hc_outbox", "hc_inbox", "hc_dead_letter"})
# Which FROM a query has is the compiler's to say; this one has nothing to compile.
_COMPILER = SQLCompiler(DefaultDialect(), None)
_CTE_PREFIXES = frozenset({"MATERIALIZED", "NOT MATERIALIZED"})
_ON_CONFLICT = (
    postgresql.dml.OnConflictDoNothing,
    postgresql.dml.OnConflictDoUpdate,
    sqlite.dml.OnConflictDoNothing,
    sqlite.dml.OnConflictDoUpdate,
)
_UPSERT = (postgresql.dml.OnConflictDoUpdate, sqlite.dml.OnConflictDoUpdate)


class ActingHotel(BindParameter[UUID]):
    """The parameter for the acting hotel. A class of its own, so that no other passes for it."""

    inherit_cache = True


@frozen
class _Scope:
    """What an enclosing statement offers to those inside it.

    ``near`` is what it selects from, ``all`` also what those around it do, as SQLAlchemy's compiler
    has it. ``known`` are the columns that hold the acting hotel, or nothing,
    in every row that counts.
    """

    near: frozenset[FromClause] = frozenset()
    all: frozenset[FromClause] = frozenset()
    known: frozenset[Place] = frozenset()


@define
class _Ties:
    """What the FROM and the WHERE of one statement say about its tables."""

    leaves: list[FromClause] = field(factory=list)
    # Two columns or the hotel itself (None), and the tables that the equality ties.
    equal: list[tuple[Place | None, Place | None, frozenset[FromClause]]] = field(factory=list)
    conditions: list[ClauseElement] = field(factory=list)


@define
class Judge:
    """Walks one statement and raises `UnboundStatement` at what may not be in it."""

    every_hotel: bool
    _ctes: dict[str, CTE] = field(factory=dict)
    _exported: dict[CTE, frozenset[str]] = field(factory=dict)

    def statement(self, statement: object, outer: _Scope = _Scope()) -> frozenset[int]:
        """Judge a statement; return which of its result's columns hold the acting hotel."""
        return self._query(statement, outer, derived=False)

    def _query(self, query: object, outer: _Scope, *, derived: bool) -> frozenset[int]:
        if isinstance(query, SelectStatementGrouping):
            return self._query(query.element, outer, derived=derived)
        if not isinstance(query, JUDGEABLE):
            raise _unjudgeable(query)
        must_have_no_additions(query)
        for cte in query._independent_ctes:
            self._derived(cte, outer)
        if isinstance(query, Select):
            return self._select(query, outer, derived=derived)
        if isinstance(query, CompoundSelect):
            return self._compound(query, outer, derived=derived)
        if isinstance(query, Insert):
            return self._insert(query)
        return self._change(query)

    # -- statements ---------------------------------------------------------------------------

    def _select(self, query: Select[Any], outer: _Scope, *, derived: bool) -> frozenset[int]:
        froms = _froms_of(query, outer, derived=derived)
        scope = self._scope(froms, query._where_criteria, outer)
        self._expressions(
            chain(
                (column for column in query._raw_columns if not _is_table(column)),
                query._having_criteria,
                query._distinct_on,
            ),
            scope,
        )
        self._ordering(query, scope)
        return _holding(query._all_selected_columns, scope)

    def _compound(
        self, query: CompoundSelect[Any], outer: _Scope, *, derived: bool
    ) -> frozenset[int]:
        parts = [self._query(part, outer, derived=derived) for part in query.selects]
        self._ordering(query, outer)
        return frozenset.intersection(*parts)

    def _ordering(self, query: Select[Any] | CompoundSelect[Any], scope: _Scope) -> None:
        limits = (query._limit_clause, query._offset_clause, query._fetch_clause)
        locked = query._for_update_arg.of if query._for_update_arg is not None else None
        self._expressions(
            chain(
                query._order_by_clauses,
                query._group_by_clauses,
                (limit for limit in limits if limit is not None),
                (each for each in locked or () if not _is_table(each)),
            ),
            scope,
        )

    def _insert(self, insert: Insert) -> frozenset[int]:
        table, nowhere = insert.table, _Scope()
        if not isinstance(table, Table):
            raise _unjudgeable(table)
        tenant = self._is_tenant(table)
        given = {_name(key): value for key, value in (insert._values or {}).items()}
        bound = is_acting(given.get(_HOTEL_ID))
        if insert.select is not None:
            held = self._query(insert.select, nowhere, derived=False)
            bound = bound or _HOTEL_ID in ((insert._select_names or [])[number] for number in held)
        if tenant and not bound and not self.every_hotel:
            raise UnboundStatement(_named(table), _WHY_INSERT)
        self._expressions(chain(given.values(), _defaults_of(table)), nowhere)
        for clause in _conflicts_of(insert):
            self._conflict(clause, table, tenant=tenant)
        place = _Scope(known=frozenset({(table, _HOTEL_ID)}))
        return self._returned(insert, place)

    def _conflict(self, clause: ClauseElement, table: FromClause, *, tenant: bool) -> None:
        if type(clause) not in _ON_CONFLICT:
            raise _unjudgeable(clause)
        target = list(getattr(clause, "inferred_target_elements", None) or ())
        condition = getattr(clause, "inferred_target_whereclause", None)
        found = [each for each in (*target, condition) if isinstance(each, ClauseElement)]
        self._expressions(found, _Scope())
        if not isinstance(clause, _UPSERT):
            return
        # Another hotel's row may stand under a key without the hotel.
        if tenant and _HOTEL_ID not in (_name(each) for each in target):
            raise UnboundStatement(_named(table), _WHY_CONFLICT)
        changed = {_name(key): value for key, value in dict(clause.update_values_to_set).items()}
        self._must_stay(table, changed)
        where = clause.update_whereclause
        self._expressions([*changed.values(), *([] if where is None else [where])], _Scope())

    def _change(self, change: Update | Delete) -> frozenset[int]:
        state = change._compile_state_factory(change, _COMPILER)
        more = state._extra_froms  # type: ignore[attr-defined]  # of both kinds, not their base
        froms = [change.table, *more]
        scope = self._scope(froms, change._where_criteria, _Scope())
        if isinstance(change, Update):
            changed = {_name(key): value for key, value in (change._values or {}).items()}
            self._must_stay(change.table, changed)
            self._expressions(chain(changed.values(), _defaults_of(change.table)), scope)
        return self._returned(change, scope)

    def _must_stay(self, table: FromClause, changed: Mapping[str, object]) -> None:
        """Refuse a change of a row's hotel."""
        own = _table_of(table)
        column = None if own is None else own.c.get(_HOTEL_ID)
        moved = _HOTEL_ID in changed and not is_acting(changed[_HOTEL_ID])
        if moved or (column is not None and column.onupdate is not None):
            raise UnboundStatement(_named(table), _WHY_MOVED)

    def _returned(self, change: UpdateBase, scope: _Scope) -> frozenset[int]:
        self._expressions((each for each in change._returning if not _is_table(each)), scope)
        return _holding(change._all_selected_columns, scope)

    # -- tables -------------------------------------------------------------------------------

    def _scope(
        self, froms: Sequence[FromClause], where: Iterable[ClauseElement], outer: _Scope
    ) -> _Scope:
        """Judge what is selected from, and return what this tells those inside."""
        ties = _Ties()
        for from_ in froms:
            self._take_apart(from_, ties)
        near = frozenset(_from_objects(*froms))
        local = near.union(ties.leaves)
        for condition in where:
            ties.conditions.append(condition)
            ties.equal += [(*pair, local) for pair in _equalities(condition)]
        inherited = frozenset(place for place in outer.known if place[0] not in local)
        around = _Scope(near, near | outer.all, inherited)
        known = set(inherited)
        for leaf in ties.leaves:
            known.update((leaf, key) for key in self._derived(leaf, around))
        _follow(ties, known)
        if not self.every_hotel:
            for leaf in ties.leaves:
                if _table_of(leaf) is not None and (leaf, _HOTEL_ID) not in known:
                    self._refuse_unless_free(leaf)
        scope = _Scope(near, near | outer.all, frozenset(known))
        self._expressions(ties.conditions, scope)
        return scope

    def _take_apart(self, from_: FromClause, ties: _Ties) -> frozenset[FromClause]:
        """Collect what a FROM is made of, and return the tables in it."""
        if type(from_) is FromGrouping:
            return self._take_apart(from_.element, ties)
        if type(from_) is not Join:
            ties.leaves.append(from_)
            return frozenset({from_})
        left, right = (self._take_apart(side, ties) for side in (from_.left, from_.right))
        # An outer join keeps rows that do not meet its condition: all, or those of its left side.
        tied = frozenset() if from_.full else right if from_.isouter else left | right
        ties.equal += [(*pair, tied) for pair in _equalities(from_.onclause)]
        if from_.onclause is not None:
            ties.conditions.append(from_.onclause)
        return left | right

    def _derived(self, leaf: FromClause, around: _Scope) -> frozenset[str]:
        """Judge what stands in a FROM, and return which of its columns hold the acting hotel."""
        table = _table_of(leaf)
        if table is not None:
            self._is_tenant(table)
        elif type(leaf) is Subquery:
            return _keys(leaf, self._query(leaf.element, around, derived=True))
        elif type(leaf) is CTE:
            return self._cte(leaf)
        elif type(leaf) is TableValuedAlias and not leaf._render_derived:
            self._expressions([leaf.element], around)
        elif isinstance(leaf, FunctionElement):
            self._expressions([leaf], around)
        else:
            raise _unjudgeable(leaf)
        return frozenset()

    def _cte(self, cte: CTE) -> frozenset[str]:
        while cte._cte_alias is not None:
            cte = cte._cte_alias
        origin = cte
        while origin._restates is not None:
            origin = origin._restates
        for prefix, _ in cte._prefixes:
            if str(prefix) not in _CTE_PREFIXES:
                raise cannot_be_judged(f"the prefix of {cte.name}")
        another = self._ctes.setdefault(str(cte.name), origin) is not origin
        if another or cte._suffixes or (cte._restates is not None and not cte.recursive):
            raise cannot_be_judged(f"the common table expression {cte.name}")
        if cte not in self._exported:
            self._exported[cte] = frozenset()  # while it is judged, as it may refer to itself
            held = _keys(cte, self._query(cte.element, _Scope(), derived=True))
            # What is restated stands for rows of every later part too.
            is_restated = cte.recursive and cte._restates is None
            self._exported[cte] = frozenset() if is_restated else held
        return self._exported[cte]

    def _is_tenant(self, table: Table) -> bool:
        """Tell whether rows of a table are a hotel's; refuse what cannot be told."""
        ours = METADATA.tables.get(table.name)
        if self.every_hotel and (ours is not table or table.name not in _SERVED):
            raise UnboundStatement(table.name, _WHY_SERVED)
        if ours is not None and _HOTEL_ID not in table.c:
            raise UnboundStatement(table.name, "declare the table with all its columns")
        if any(column.name == _HOTEL_ID and column.key != _HOTEL_ID for column in table.c):
            raise UnboundStatement(table.name, "let the column hotel_id have no other key")
        return _HOTEL_ID in table.c

    def _refuse_unless_free(self, leaf: FromClause) -> None:
        if _HOTEL_ID in leaf.c:
            raise UnboundStatement(_named(leaf), _WHY_UNTIED)

    # -- expressions --------------------------------------------------------------------------

    def _expressions(self, found: Iterable[object], scope: _Scope) -> None:
        waiting = list(found)
        while waiting:
            element = waiting.pop()
            if isinstance(element, SelectBase):
                self._query(element, scope, derived=False)
            elif isinstance(element, ClauseElement):
                self._must_be_ours(element)
                must_be_plain(element)
                waiting.extend(element.get_children())
            elif element is not None:
                raise _unjudgeable(element)

    def _must_be_ours(self, element: ClauseElement) -> None:
        named_alike = isinstance(element, BindParameter) and element.key == ACTING_HOTEL
        if named_alike and (self.every_hotel or not is_acting(element)):
            raise UnboundStatement(f"the parameter {ACTING_HOTEL}", _WHY_PARAMETER)


# -- what elements say --------------------------------------------------------------------------


def _froms_of(query: Select[Any], outer: _Scope, *, derived: bool) -> list[FromClause]:
    """Return what a SELECT selects from, without what it takes from around it."""
    state = query._compile_state_factory(query, _COMPILER)
    try:
        return state._get_display_froms(
            # As the compiler has it: a query in FROM sees its neighbours only if it is told to.
            explicit_correlate_froms=tuple(outer.all - outer.near if derived else outer.all),
            implicit_correlate_froms=() if derived else tuple(outer.near),
        )
    except InvalidRequestError:
        raise cannot_be_judged("a query that selects only from what is around it") from None


def _follow(ties: _Ties, known: set[Place]) -> None:
    """Add the columns that equal one that holds the acting hotel, over any number of steps."""
    grows = True
    while grows:
        grows = False
        for one, other, tied in ties.equal:
            for source, target in ((one, other), (other, one)):
                holds = source is None or source in known
                if holds and target is not None and target[0] in tied and target not in known:
                    known.add(target)
                    grows = True


def _equalities(condition: object) -> Iterator[tuple[Place | None, Place | None]]:
    """Give what a condition sets equal: columns, and the acting hotel as None."""
    if type(condition) is elements.Grouping:
        yield from _equalities(condition.element)
    elif type(condition) is elements.BooleanClauseList and condition.operator is operators.and_:
        for part in condition.clauses:
            yield from _equalities(part)
    elif type(condition) is BinaryExpression and condition.operator is operators.eq:
        sides = condition.left, condition.right
        if all(is_acting(side) or _place(side) is not None for side in sides):
            left, right = (_place(side) for side in sides)
            yield left, right


def is_acting(element: object) -> bool:
    return type(element) is ActingHotel and element.key == ACTING_HOTEL and not element.unique


def _place(element: object) -> Place | None:
    if isinstance(element, ColumnClause) and element.table is not None and not element.is_literal:
        return element.table, element.key
    return None


def _holding(columns: Iterable[object], scope: _Scope) -> frozenset[int]:
    """Return the positions of the columns that hold the acting hotel."""
    return frozenset(
        number
        for number, column in enumerate(map(_unlabelled, columns))
        if is_acting(column) or _place(column) in scope.known
    )


def _unlabelled(column: object) -> object:
    while type(column) is Label:
        column = column.element
    return column


def _keys(derived: FromClause, held: frozenset[int]) -> frozenset[str]:
    return frozenset(key for number, key in enumerate(derived.c.keys()) if number in held)


def _table_of(leaf: FromClause) -> Table | None:
    while type(leaf) is Alias:
        leaf = leaf.element
    return leaf if type(leaf) is Table else None


def _is_table(element: object) -> bool:
    return isinstance(element, FromClause) and not isinstance(element, FunctionElement)


def _name(column: object) -> str:
    return str(getattr(column, "name", column))


def _named(from_: FromClause) -> str:
    table = _table_of(from_)
    name = str(getattr(from_, "name", type(from_).__name__))
    return name if table is None or table is from_ else f"{table.name} (as {name})"


def _defaults_of(from_: FromClause) -> Iterator[object]:
    """Give the statements that SQLAlchemy puts in for columns which are given no value."""
    table = _table_of(from_)
    for column in [] if table is None else table.c:
        for default in (column.default, column.onupdate):
            if isinstance(default, ColumnElementColumnDefault):
                yield default.arg


def _conflicts_of(insert: Insert) -> Iterator[ClauseElement]:
    clause = insert._post_values_clause
    if isinstance(clause, elements.ElementList):
        yield from clause.clauses
    elif clause is not None:
        yield clause


def _unjudgeable(element: object) -> UnboundStatement:
    return cannot_be_judged(f"an element of the kind {type(element).__name__}")


_WHY_UNTIED = (
    "compare its hotel_id with acting_hotel(), or with a hotel_id that is compared with it"
)
_WHY_INSERT = "let its hotel_id be acting_hotel(); insert_into() does"
_WHY_CONFLICT = "name the columns of the key in index_elements, hotel_id among them"
_WHY_MOVED = "leave its hotel_id as it is: a row stays in its hotel"
_WHY_PARAMETER = "it is the seam's: take acting_hotel(), and only where one hotel acts"
_WHY_SERVED = "what serves every hotel may touch the relay's own tables alone"
