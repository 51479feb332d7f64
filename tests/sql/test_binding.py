"""Every statement is bound to the acting hotel: what is accepted, what is refused, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from hypothesis import given, settings
from sqlalchemy import (
    BinaryExpression,
    Column,
    CompoundSelect,
    Connection,
    Delete,
    Engine,
    Executable,
    Insert,
    Integer,
    MetaData,
    Select,
    Table,
    Update,
    Uuid,
    and_,
    bindparam,
    column,
    create_engine,
    delete,
    except_,
    exists,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    table,
    text,
    true,
    tuple_,
    union_all,
    update,
    values,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql import visitors

import hotelcore.sql
from hotelcore.clock import SystemClock
from hotelcore.errors import InvalidInput, UnboundStatement
from hotelcore.sql.changing import (
    as_known,
    insert_into,
    inserts_into,
    left_as_it_is,
    upsert_into,
    versioned_update,
)
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.sql.pages import Listing
from hotelcore.sql.repositories.rooms import ROOM
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.binding import for_every_hotel, is_for_every_hotel, must_be_bound
from hotelcore.sql.seam.judge import ActingHotel
from hotelcore.sql.seam.limits import EVERY_HOTEL, Deadline, Limits
from hotelcore.sql.seam.statements import Statements, acting_hotel
from tests.sql.house import House, new_house
from tests.sql.statement_strategies import (
    OURS,
    RATES,
    ROOMS,
    STAYS,
    THEIRS,
    WORLD,
    Statement,
    changes,
    contents,
    selects,
    statements,
)

# `Any` in this module: what a statement yields is no matter to whether it is bound.
Build: TypeAlias = Callable[[], Any]


def is_bound(statement: Executable) -> bool:
    """Tell whether a statement may run where a hotel acts."""
    try:
        must_be_bound(statement, acting=True)
    except UnboundStatement:
        return False
    return True


# -- the library's own statements ---------------------------------------------------------------

PARTS = {
    "audit_verifying._SELECTS",
    "availability._IN_ORDER",
    "backlog._hotels",
    "dead_letters._WITH_EVENT",
    "dead_letters._free",
    "inbox._free",
    "inbox._next",
}
"""What others are built of, or what reads a log as it lies there: the seam would refuse it."""


def statements_in(value: object) -> Iterator[Executable]:
    """Give the statements in a module's variable."""
    if isinstance(value, Select | CompoundSelect | Insert | Update | Delete):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from statements_in(each)
    elif isinstance(value, Listing):
        yield from value.statements()


OUR_STATEMENTS = [
    (f"{module.name.rpartition('.')[2]}.{name}", statement)
    for module in walk_packages(hotelcore.sql.__path__, "hotelcore.sql.")
    if not module.ispkg and ".migrations." not in module.name  # Alembic alone can import these
    for name, value in vars(import_module(module.name)).items()
    for statement in statements_in(value)
]


def test_there_are_statements() -> None:
    """The walk over the modules finds the library's statements."""
    assert len(OUR_STATEMENTS) > 150
    assert {name for name, _ in OUR_STATEMENTS} > PARTS


@pytest.mark.parametrize(("name", "statement"), OUR_STATEMENTS)
def test_every_statement_of_ours_is_bound(name: str, statement: Executable) -> None:
    """Each may run either for a hotel or for all; only parts of others may not."""
    allowed = [acting for acting in (True, False) if may_run(statement, acting=acting)]
    assert allowed == ([] if name in PARTS else [not is_for_every_hotel(statement)])


def may_run(statement: Executable, *, acting: bool) -> bool:
    """Tell whether a statement may run where a hotel acts, or where none does."""
    try:
        must_be_bound(statement, acting=acting)
    except UnboundStatement:
        return False
    return True


BOUND = [(name, each) for name, each in OUR_STATEMENTS if is_bound(each)]


def tying(statement: Any) -> list[Any]:
    """Return the conditions of a statement that compare a hotel_id to another or to the hotel."""
    found: dict[int, Any] = {}
    for element in visitors.iterate(statement):
        if type(element) is BinaryExpression and all(
            type(side) is ActingHotel or getattr(side, "name", None) == "hotel_id"
            for side in (element.left, element.right)
        ):
            found[id(element)] = element
    return list(found.values())


@pytest.mark.parametrize(("name", "statement"), BOUND)
def test_each_condition_on_the_hotel_counts(name: str, statement: Any) -> None:
    """Without any one of its conditions on a hotel, a statement of ours is refused."""
    conditions = tying(statement)
    assert conditions or isinstance(statement, Insert) or "hotel_id" not in str(statement)
    for condition in conditions:
        assert not is_bound(without(statement, condition))


def without(statement: Any, condition: object) -> Any:
    """Return a statement with one of its conditions always true."""

    def replaced(element: object, **_: object) -> Any:
        return true() if element is condition else None

    return visitors.replacement_traverse(statement, {}, replaced)


@pytest.mark.parametrize(
    ("name", "statement"), [(n, s) for n, s in BOUND if isinstance(s, Insert) and s.select is None]
)
def test_each_row_is_put_into_the_acting_hotel(name: str, statement: Any) -> None:
    """An INSERT of ours that takes the hotel from its caller, or from nobody, is refused."""
    assert not is_bound(statement.values(hotel_id=bindparam("hotel")))
    assert not is_bound(statement.values(hotel_id=uuid4()))


# -- soundness ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def memory() -> Iterator[Engine]:
    """Return a SQLite database with the tables of the random statements, empty."""
    engine = create_engine("sqlite://", poolclass=StaticPool, enable_from_linting=False)
    WORLD.create_all(engine)
    yield engine
    engine.dispose()


def outcome(
    connection: Connection, statement: Statement, rows: Mapping[str, list[tuple[int, int | None]]]
) -> tuple[list[str], list[str], list[str]]:
    """Run a statement over rows; return its answer, and what is left of ours and of theirs."""
    with connection.begin() as transaction:
        connection.execute(insert(RATES), [{"n": OURS}, {"n": THEIRS}])
        for each in (ROOMS, STAYS):
            if given := [{"hotel_id": hotel, "n": n} for hotel, n in rows[each.name]]:
                connection.execute(insert(each), given)
        result = connection.execute(statement, {"acting_hotel": OURS})
        answer = result.all() if result.returns_rows else [result.rowcount]
        left = [
            (row.hotel_id, f"{each.name} {row}")
            for each in (ROOMS, STAYS)
            for row in connection.execute(select(each.c.hotel_id, each.c.n))
        ]
        transaction.rollback()
    ours = sorted(row for hotel, row in left if hotel == OURS)
    theirs = sorted(row for hotel, row in left if hotel != OURS)
    return sorted(map(str, answer)), ours, theirs


def only_ours(
    rows: Mapping[str, list[tuple[int, int | None]]],
) -> dict[str, list[tuple[int, int | None]]]:
    """Return the rows as if the other hotel had none."""
    return {name: [row for row in some if row[0] == OURS] for name, some in rows.items()}


MANY = settings(max_examples=10 * settings.default.max_examples)  # type: ignore[union-attr]  # set


@pytest.mark.long
@MANY
@given(statement=statements | changes(), rows=contents)
def test_the_other_hotel_makes_no_difference(
    memory: Engine, statement: Statement, rows: dict[str, list[tuple[int, int | None]]]
) -> None:
    """What is accepted answers and changes as if the other hotel's rows were not there at all."""
    makes_no_difference(memory, statement, rows)


@MANY
@given(statement=selects(0, ()), rows=contents)
def test_the_other_hotel_makes_no_difference_to_a_join(
    memory: Engine, statement: Statement, rows: dict[str, list[tuple[int, int | None]]]
) -> None:
    """The same of plain joins, where it matters in which condition a tie stands."""
    makes_no_difference(memory, statement, rows)


def makes_no_difference(
    memory: Engine, statement: Statement, rows: Mapping[str, list[tuple[int, int | None]]]
) -> None:
    """Compare a statement, if it is accepted, in a world of two hotels and in one of ours alone."""
    if not is_bound(statement):
        return
    with memory.connect() as connection:
        try:
            both = outcome(connection, statement, rows)
        except OperationalError:
            return  # some of what SQLAlchemy can build SQLite cannot run
        except IntegrityError:
            # A row without a hotel, say, which the table refuses: in a world of ours alone too.
            with pytest.raises(IntegrityError):
                outcome(connection, statement, only_ours(rows))
            return
        alone = outcome(connection, statement, only_ours(rows))
    assert both[:2] == alone[:2]
    assert both[2] == sorted(
        f"{name} {(hotel, n)}"
        for name, some in rows.items()
        for hotel, n in some
        if hotel == THEIRS
    )
    assert alone[2] == []


# -- completeness -------------------------------------------------------------------------------

_r, _s = ROOMS.c, STAYS.c
OTHER = STAYS.alias("other")
HERE = _r.hotel_id == acting_hotel()
OF_ROOM = select(STAYS).where(_s.hotel_id == acting_hotel())
SPA = Table(
    "spa_visit",
    MetaData(),
    Column("hotel_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("place", Integer),
    Column("version", Integer),
)
TREE = select(_r.hotel_id, _r.n).where(HERE).cte("tree", recursive=True)

NATURAL: dict[str, Build] = {
    "a filter": lambda: select(ROOMS).where(HERE, _r.n == 3),
    "the other way round": lambda: select(ROOMS).where(acting_hotel() == _r.hotel_id),
    "and_": lambda: select(ROOMS).where(and_(_r.n == 3, and_(HERE, _r.n == 4))),
    "beside an or": lambda: select(ROOMS).where(HERE, or_(_r.n == 3, _r.n == 4)),
    "no table": lambda: select(bindparam("x", 1)),
    "a table without hotels": lambda: select(RATES),
    "a join": lambda: select(ROOMS, STAYS).join(STAYS, _s.hotel_id == _r.hotel_id).where(HERE),
    "a join, tied in ON": lambda: (
        select(ROOMS).join(STAYS, and_(_s.hotel_id == acting_hotel(), _s.n == _r.n)).where(HERE)
    ),
    "an outer join": lambda: (
        select(ROOMS).outerjoin(STAYS, and_(_s.hotel_id == _r.hotel_id, _s.n == _r.n)).where(HERE)
    ),
    "two outer joins": lambda: (
        select(ROOMS)
        .outerjoin(STAYS, _s.hotel_id == _r.hotel_id)
        .outerjoin(OTHER, OTHER.c.hotel_id == _s.hotel_id)
        .where(HERE)
    ),
    "a comma": lambda: select(ROOMS, STAYS).where(HERE, _s.hotel_id == _r.hotel_id),
    "an alias": lambda: select(OTHER).where(OTHER.c.hotel_id == acting_hotel()),
    "a chain": lambda: select(ROOMS, STAYS, OTHER).where(
        OTHER.c.hotel_id == _s.hotel_id, _s.hotel_id == _r.hotel_id, HERE
    ),
    "exists": lambda: select(ROOMS).where(HERE, exists().where(_s.hotel_id == _r.hotel_id)),
    "not exists": lambda: select(ROOMS).where(HERE, ~exists().where(_s.hotel_id == acting_hotel())),
    "in": lambda: select(ROOMS).where(HERE, _r.n.in_(OF_ROOM.with_only_columns(_s.n))),
    "in the same table": lambda: select(ROOMS).where(HERE, _r.n.in_(select(_r.n).where(HERE))),
    "in a list": lambda: select(ROOMS).where(HERE, _r.n.in_([1, 2])),
    "a tuple in": lambda: select(ROOMS).where(HERE, tuple_(_r.n, _r.row) > (1, 2)),
    "a scalar": lambda: select(
        select(func.count()).where(_s.hotel_id == _r.hotel_id).select_from(STAYS).scalar_subquery()
    ).where(HERE),
    "a subquery": lambda: select(OF_ROOM.subquery()),
    "a subquery that ties": lambda: select(ROOMS, sub := OF_ROOM.subquery()).where(
        _r.hotel_id == sub.c.hotel_id
    ),
    "a table expression": lambda: select(ROOMS, cte := OF_ROOM.cte("c")).where(
        _r.hotel_id == cte.c.hotel_id, cte.c.n > 1
    ),
    "a recursive one": lambda: select(
        TREE.union_all(
            select(_s.hotel_id, _s.n).where(_s.hotel_id == acting_hotel(), _s.n > TREE.c.n)
        )
    ),
    "a union": lambda: union_all(OF_ROOM, select(ROOMS).where(HERE)).order_by("n").limit(3),
    "a difference": lambda: except_(OF_ROOM, select(ROOMS).where(HERE)),
    "groups": lambda: (
        select(_r.n, func.count(), func.max(_r.row))
        .where(HERE)
        .group_by(_r.n)
        .having(func.count() > 1)
        .order_by(func.count().desc())
    ),
    "a window": lambda: select(
        func.row_number().over(partition_by=_r.n, order_by=_r.row), func.lower("A")
    ).where(HERE),
    "a lock": lambda: select(ROOMS).where(HERE).with_for_update(skip_locked=True, of=ROOMS),
    "distinct": lambda: select(_r.n).where(HERE).distinct(),
    "a constant": lambda: select(ROOMS).where(HERE, _r.n == literal_column("'open'")),
    "an update": lambda: update(ROOMS).where(HERE).values(n=_r.n + 1),
    "an update with a query": lambda: (
        update(ROOMS)
        .where(HERE)
        .values(n=select(func.count()).where(_s.hotel_id == _r.hotel_id).scalar_subquery())
    ),
    "an update from": lambda: (
        update(ROOMS).where(HERE, _s.hotel_id == _r.hotel_id).values(n=_s.n).returning(ROOMS)
    ),
    "an update to the same hotel": lambda: (
        update(ROOMS).where(HERE).values(hotel_id=acting_hotel())
    ),
    "a delete": lambda: delete(ROOMS).where(HERE, exists().where(_s.hotel_id == _r.hotel_id)),
    "an insert": lambda: insert(ROOMS).values(hotel_id=acting_hotel(), n=1),
    "an insert from": lambda: insert(ROOMS).from_select(
        ["n", "hotel_id"], select(_s.n, _s.hotel_id).where(_s.hotel_id == acting_hotel())
    ),
    "an insert of the hotel": lambda: insert(ROOMS).from_select(
        ["n", "hotel_id"], select(RATES.c.n, acting_hotel())
    ),
    "insert_into": lambda: insert_into(SPA),
    "inserts_into": lambda: inserts_into(SPA, left_as_it_is)["sqlite"],
    "upsert_into": lambda: upsert_into(SPA, changing=["place"], keeping=["version"])["postgresql"],
    "versioned_update": lambda: versioned_update(SPA),
    "as_known": lambda: delete(SPA).where(*as_known(SPA)),
    "a change in a table expression": lambda: select(
        update(ROOMS).where(HERE).values(n=1).returning(_r.hotel_id, _r.n).cte("changed")
    ),
}


@pytest.mark.parametrize("name", NATURAL)
def test_what_one_would_write_is_accepted(name: str) -> None:
    """The usual ways to tie a table to the acting hotel are all understood."""
    must_be_bound(NATURAL[name](), acting=True)


# -- refusals -----------------------------------------------------------------------------------


class Base(DeclarativeBase):
    """A host's mapped classes."""


class MappedRoom(Base):
    """A mapped class over a table of a hotel."""

    __tablename__ = "mapped"
    hotel_id: Mapped[int] = mapped_column(primary_key=True)


def moved_by_itself() -> Table:
    """Declare a table whose every change moves the row into another hotel."""
    return Table(
        "moving", MetaData(), Column("hotel_id", Integer, onupdate=THEIRS), Column("n", Integer)
    )


def counted_by_default() -> Table:
    """Declare a table whose column's default reads another table."""
    default = select(func.count()).select_from(STAYS).scalar_subquery()
    return Table(
        "counted", MetaData(), Column("hotel_id", Integer), Column("n", Integer, default=default)
    )


def upsert(**how: Any) -> Insert:
    """Build an INSERT that changes the row which is there."""
    there = sqlite.insert(ROOMS).values(hotel_id=acting_hotel(), n=1)
    return there.on_conflict_do_update(**{"set_": {"n": 2}, **how})


HIDDEN = select(STAYS).where(_s.n == 1)
REFUSED: dict[str, tuple[Build, str]] = {
    "no condition": (lambda: select(ROOMS), "rooms"),
    "another column": (lambda: select(ROOMS).where(_r.n == acting_hotel()), "rooms"),
    "another value": (lambda: select(ROOMS).where(_r.hotel_id == bindparam("hotel")), "rooms"),
    "another operator": (lambda: select(ROOMS).where(_r.hotel_id >= acting_hotel()), "rooms"),
    "or": (lambda: select(ROOMS).where(or_(HERE, _r.n == 1)), "rooms"),
    "not": (lambda: select(ROOMS).where(not_(and_(HERE, _r.n == 1))), "rooms"),
    "only a name": (
        lambda: select(ROOMS).where(_r.hotel_id == bindparam("acting_hotel")),
        "rooms",
    ),
    "a value of its own": (
        lambda: select(ROOMS).where(HERE, _r.n == bindparam("acting_hotel", THEIRS)),
        "acting_hotel",
    ),
    "a value for ours": (lambda: select(ROOMS).where(HERE).params(acting_hotel=THEIRS), "params"),
    "half a join": (lambda: select(ROOMS, STAYS).where(HERE), "stays"),
    "half a join in ON": (lambda: select(ROOMS).join(STAYS, _s.n == _r.n).where(HERE), "stays"),
    "the kept side in ON": (
        lambda: select(ROOMS).outerjoin(STAYS, and_(HERE, _s.hotel_id == _r.hotel_id)),
        "rooms",
    ),
    "a full join in ON": (
        lambda: (
            select(ROOMS)
            .outerjoin(STAYS, and_(HERE, _s.hotel_id == _r.hotel_id), full=True)
            .where(HERE)
        ),
        "stays",
    ),
    "a cycle": (lambda: select(ROOMS, STAYS).where(_r.hotel_id == _s.hotel_id), "rooms"),
    "exists": (lambda: select(ROOMS).where(HERE, exists().where(_s.n == _r.n)), "stays"),
    "uncorrelated": (
        lambda: select(ROOMS).where(
            HERE, exists(select(_s.n).where(_s.hotel_id == _r.hotel_id).correlate(None))
        ),
        "stays",
    ),
    "in": (lambda: select(ROOMS).where(HERE, _r.n.in_(HIDDEN.with_only_columns(_s.n))), "stays"),
    "in the same table": (
        lambda: select(ROOMS).where(HERE, _r.n.in_(select(_r.n).where(_r.n == 1))),
        "rooms",
    ),
    "a scalar": (lambda: select(HIDDEN.with_only_columns(_s.n).scalar_subquery()), "stays"),
    "in ORDER BY": (
        lambda: (
            select(ROOMS)
            .where(HERE)
            .order_by(select(func.count()).select_from(STAYS).scalar_subquery())
        ),
        "stays",
    ),
    "a subquery tied from outside": (
        lambda: select(sub := HIDDEN.subquery()).where(sub.c.hotel_id == acting_hotel()),
        "stays",
    ),
    "a subquery that says it is a hotel": (
        lambda: select(
            ROOMS, sub := OF_ROOM.with_only_columns(_s.n.label("hotel_id")).subquery()
        ).where(_r.hotel_id == sub.c.hotel_id),
        "rooms",
    ),
    "a table expression": (lambda: select(HIDDEN.cte("c").c.n), "stays"),
    "a table expression beside": (lambda: select(ROOMS).where(HERE).add_cte(HIDDEN.cte()), "stays"),
    "one name for two": (
        lambda: select(OF_ROOM.cte("c").c.n, select(RATES).cte("c").c.n),
        "expression c",
    ),
    "a recursive one": (
        lambda: select(
            TREE.union_all(select(_s.hotel_id, _s.n).where(_s.hotel_id == TREE.c.hotel_id))
        ),
        "stays",
    ),
    "a union": (lambda: union_all(OF_ROOM, select(ROOMS)), "rooms"),
    "an update": (lambda: update(ROOMS).where(_r.n == 1).values(n=2), "rooms"),
    "an update from": (
        lambda: update(ROOMS).where(HERE, _s.n == _r.n).values(n=_s.n),
        "stays",
    ),
    "a move": (lambda: update(ROOMS).where(HERE).values(hotel_id=THEIRS), "rooms"),
    "a move by a column": (lambda: update(ROOMS).where(HERE).values({_r.hotel_id: _r.n}), "rooms"),
    "a move by itself": (
        lambda: (
            update(moving := moved_by_itself())
            .where(moving.c.hotel_id == acting_hotel())
            .values(n=1)
        ),
        "moving",
    ),
    "a delete": (lambda: delete(ROOMS), "rooms"),
    "an insert": (lambda: insert(ROOMS), "rooms"),
    "an insert elsewhere": (lambda: insert(ROOMS).values(hotel_id=THEIRS, n=1), "rooms"),
    "an insert from": (
        lambda: insert(ROOMS).from_select(
            ["n", "hotel_id"], OF_ROOM.with_only_columns(_s.hotel_id, _s.n)
        ),
        "rooms",
    ),
    "an insert with a query": (
        lambda: insert(ROOMS).values(
            hotel_id=acting_hotel(), n=HIDDEN.with_only_columns(_s.n).scalar_subquery()
        ),
        "stays",
    ),
    "several rows": (lambda: insert(ROOMS).values([{"hotel_id": OURS}]), "multi_values"),
    "a default with a query": (
        lambda: insert(counted_by_default()).values(hotel_id=acting_hotel()),
        "stays",
    ),
    "a conflict without the hotel": (lambda: upsert(index_elements=["n"]), "rooms"),
    "a conflict that moves": (
        lambda: upsert(index_elements=["hotel_id"], set_={"hotel_id": THEIRS}),
        "rooms",
    ),
    "a conflict that reads": (
        lambda: upsert(
            index_elements=["hotel_id"],
            where=exists(select(_s.n).where(_s.n == 1)),
        ),
        "stays",
    ),
    "a named conflict": (
        lambda: (
            postgresql.insert(ROOMS)
            .values(hotel_id=acting_hotel())
            .on_conflict_do_update(constraint="uq", set_={"n": 1})
        ),
        "rooms",
    ),
    "INSERT OR REPLACE": (lambda: insert_into(SPA).prefix_with("OR REPLACE"), "prefixes"),
    "text": (lambda: text("SELECT 1"), "TextClause"),
    "text as a condition": (lambda: select(ROOMS).where(HERE, text("1 = 1")), "TextClause"),
    "text as a table": (lambda: select(text("n")).select_from(text("rooms")), "TextClause"),
    "text as columns": (lambda: text("SELECT n FROM rooms").columns(n=Integer), "TextualSelect"),
    "a literal column": (lambda: select(literal_column("(SELECT 1)")), "literal"),
    "a light table": (lambda: select(table("rooms", column("n"))), "TableClause"),
    "our table by half": (
        lambda: select(Table("hc_room", MetaData(), Column("floor", Integer))),
        "hc_room",
    ),
    "another key": (
        lambda: select(Table("odd", MetaData(), Column("hotel_id", Integer, key="hotel"))),
        "odd",
    ),
    "a prefix": (lambda: select(ROOMS).where(HERE).prefix_with("ALL"), "prefixes"),
    "a suffix": (lambda: select(ROOMS).where(HERE).suffix_with("--"), "suffixes"),
    "a hint": (lambda: select(ROOMS).where(HERE).with_statement_hint("x"), "hints"),
    "an operator": (lambda: select(ROOMS).where(HERE, _r.n.op("= 1 OR 1 =")(1)), "operator"),
    "a comment": (lambda: select(ROOMS).where(_r.n.op("--")(1), HERE), "operator"),
    "a function": (lambda: select(func.query_to_xml("SELECT 1")), "query_to_xml"),
    "another's function": (lambda: select(func.spa.max(1)), "max"),
    "values": (lambda: select(values(column("n", Integer)).data([(1,)])), "Values"),
    "a lateral": (
        lambda: select(ROOMS, OF_ROOM.where(_s.hotel_id == _r.hotel_id).lateral()).where(HERE),
        "Lateral",
    ),
    "a sample": (lambda: select(ROOMS.tablesample(10)), "TableSample"),
    "a mapped class": (
        lambda: select(MappedRoom).where(MappedRoom.hotel_id == acting_hotel()),
        "propagate_attrs",
    ),
    "nothing from": (
        lambda: (
            select(ROOMS)
            .where(
                HERE, exists(select(_s.n).where(_s.hotel_id == _r.hotel_id).correlate(STAYS, ROOMS))
            )
            .where(_r.n == select(ROOMS.c.n, STAYS.c.n).scalar_subquery())
        ),
        "stays",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_bound_is_refused(name: str) -> None:
    """The error names the table or the part, and what to write instead."""
    build, named = REFUSED[name]
    with pytest.raises(UnboundStatement) as refused:
        must_be_bound(build(), acting=True)
    assert named in refused.value.what
    assert refused.value.remedy in str(refused.value)


def test_a_statement_is_judged_by_what_it_is_now() -> None:
    """What is built from a bound statement is judged anew, also where one stood that was bound."""
    for number in range(2_000):
        bound = select(ROOMS).where(HERE, _r.n == number)
        assert is_bound(bound)
        assert is_bound(bound)
        assert not is_bound(bound.where(_r.n == STAYS.c.n))
        del bound
        assert not is_bound(select(ROOMS).where(_r.n == number))


# -- statements that serve every hotel ------------------------------------------------------------

SERVING: dict[str, Build] = {
    "of the feed": lambda: select(FEED),
    "joined": lambda: select(OUTBOX).join(FEED, FEED.c.hotel_id == OUTBOX.c.hotel_id),
    "a change": lambda: update(FEED).where(FEED.c.hotel_id == bindparam("hotel")).values(sent=1),
}
NOT_SERVING: dict[str, tuple[Build, str]] = {
    "another table": (lambda: select(ROOM), "hc_room"),
    "another table inside": (
        lambda: select(FEED).where(exists().where(ROOM.c.hotel_id == FEED.c.hotel_id)),
        "hc_room",
    ),
    "a table like ours": (lambda: select(Table("hc_feed", MetaData(), *ids())), "hc_feed"),
    "a host's table": (lambda: select(RATES), "rates"),
    "the acting hotel": (
        lambda: select(FEED).where(FEED.c.hotel_id == acting_hotel()),
        "acting_hotel",
    ),
    "a move": (lambda: update(FEED).values(hotel_id=uuid4()), "hc_feed"),
    "text": (lambda: select(FEED).where(text("1 = 1")), "TextClause"),
}


def ids() -> tuple[Column[Any], ...]:
    """Declare the columns of a feed that is not ours."""
    return Column("hotel_id", Uuid), Column("sent", Integer)


@pytest.mark.parametrize("name", SERVING)
def test_what_serves_every_hotel_is_judged_anew_where_one_acts(name: str) -> None:
    """That a statement was good for all hotels says nothing of one like it that is not declared."""
    must_be_bound(for_every_hotel(SERVING[name]()), acting=False)
    with pytest.raises(UnboundStatement, match="acting hotel"):
        must_be_bound(SERVING[name](), acting=True)


@pytest.mark.parametrize("name", SERVING)
def test_the_relay_serves_every_hotel(name: str) -> None:
    """What is declared for every hotel runs where none acts, and only there."""
    declared = for_every_hotel(SERVING[name]())
    assert may_run(declared, acting=False)
    assert not may_run(declared, acting=True)
    assert not may_run(SERVING[name](), acting=False)


@pytest.mark.parametrize("name", NOT_SERVING)
def test_only_the_relays_tables_serve_every_hotel(name: str) -> None:
    """To declare it helps no statement on another table, or of another kind."""
    build, named = NOT_SERVING[name]
    with pytest.raises(UnboundStatement) as refused:
        must_be_bound(for_every_hotel(build()), acting=False)
    assert named in refused.value.what


# -- the seam -------------------------------------------------------------------------------------


def test_the_seam_refuses(house: House) -> None:
    """Nothing unbound reaches the database, whichever way it is run."""
    with house.writing() as run:
        with pytest.raises(UnboundStatement):
            run.all(select(ROOM), tuple)
        with pytest.raises(UnboundStatement):
            run.first(for_every_hotel(select(FEED)), tuple)
        with pytest.raises(UnboundStatement):
            run.write(delete(ROOM))
        with pytest.raises(UnboundStatement):
            run.write_many(insert(ROOM), [{"hotel_id": uuid4()}])


def test_the_seam_alone_gives_the_hotel(database: Engine, house: House) -> None:
    """A caller's value for the acting hotel, or for a row's hotel, has no way in."""
    other = new_house(database)
    with house.writing() as run:
        rooms = select(ROOM.c.id).where(ROOM.c.hotel_id == acting_hotel())
        found = run.all(rooms, lambda row: row.id, acting_hotel=other.hotel_id)
        assert set(found) == set(house.room_ids)
        move = update(ROOM).where(ROOM.c.hotel_id == acting_hotel())
        with pytest.raises(InvalidInput, match="hotel_id"):
            run.write(move, hotel_id=other.hotel_id)
        with pytest.raises(InvalidInput, match="hotel_id"):
            run.write_many(move, [{"hotel_id": other.hotel_id}])


def test_without_a_hotel_only_the_relay_works(database: Engine, house: House) -> None:
    """Where no hotel acts, what is bound to one is refused as well as what is bound to none."""
    with database.connect() as connection:
        deadline = Deadline.start(SystemClock(), Limits(), EVERY_HOTEL)
        run = Statements(connection, None, deadline, read_only=True, names=TableNames())
        for statement in (select(FEED), select(ROOM).where(ROOM.c.hotel_id == acting_hotel())):
            with pytest.raises(UnboundStatement):
                run.all(statement, tuple)
        feeds = run.all(for_every_hotel(select(FEED.c.hotel_id)), lambda row: row.hotel_id)
        assert feeds == [house.hotel_id]
