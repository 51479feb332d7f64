"""What a statement looks like to a driver: its text, its parameters and how its rows are read.

A statement is compiled once for a database, and what is built anew from the same parts not again.
SQLAlchemy's own execution does the same work for every call, which on one row costs more than the
database does. Private parts of SQLAlchemy are used here: compiling under a cache key, and what it
knows of a statement's parameters and columns, have no public names.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from typing import Any, Protocol, TypeAlias, TypeVar
from weakref import ref

from attrs import define, field, frozen
from sqlalchemy import (
    JSON,
    BigInteger,
    BindParameter,
    Boolean,
    Date,
    DateTime,
    Dialect,
    Double,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    Uuid,
)
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.cache_key import CacheKey
from sqlalchemy.sql.compiler import ExpandedState, SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.visitors import iterate

from hotelcore.errors import InvalidInput
from hotelcore.sql.building import Entity
from hotelcore.sql.schema import (
    AttributesJson,
    Day,
    Id,
    Instant,
    Sealed,
    SharedId,
    TableNames,
    ValueText,
)
from hotelcore.sql.seam.binding import is_for_every_hotel, must_be_bound

__all__ = ["AnyRow", "Form", "Forms", "Parameters", "forms_of", "written_by"]

T = TypeVar("T")
# A row's columns are known to its builder alone; a parameter's type to its column.
AnyRow: TypeAlias = Any
"""A row with named columns, a named tuple, from which its record is built."""
Parameters: TypeAlias = Mapping[str, Any]
"""The values of one call of a statement, by the names of its parameters."""
Build: TypeAlias = Callable[[AnyRow], T]
Processor: TypeAlias = Callable[[Any], Any]


class Described(Protocol):
    """What has rows and describes their columns, as a driver's cursor does."""

    @property
    def description(self) -> Sequence[Sequence[Any]]:
        """The name, the type and more of each column."""
        ...


_MOST_SHAPES = 2_000
# For how many lengths of its lists, and of how many values, a statement's text is remembered.
_MOST_LENGTHS, _LONGEST_KNOWN = 20, 500
# Up to how many values PostgreSQL is given one by one: each number of them is another statement.
_SHORT = 8
# What comes as the same value in PostgreSQL's binary format, which costs less to read. Of any other
# type (an enum, citext, money) psycopg would give the bytes.
_IN_BINARY = {
    *(AttributesJson, Day, Id, Instant, Sealed, SharedId, ValueText),
    *(Boolean, Date, DateTime, Double, Float, Integer, BigInteger, SmallInteger, LargeBinary),
    *(Numeric, String, Text, Time, Uuid, JSON),
}
# What psycopg makes an array of, whatever is in the list: numbers of several types it refuses.
_IN_ARRAYS = {Day, Id, SharedId, Date, String, Text, Uuid}
_named_tuple: Any = namedtuple  # with names that are known at run time alone


@define(eq=False, slots=False)
class _Shape:
    """What all statements share that are built from the same parts."""

    compiled: SQLCompiler
    _tables: tuple[str, ...] | None = field(init=False, default=None)
    _read: Build[AnyRow] | None = field(init=False, default=None)
    _entities: dict[Entity[Any], Build[Any]] = field(init=False, factory=dict)

    @cached_property
    def binary(self) -> bool:
        """Whether PostgreSQL may answer in its binary format."""
        return all(type(column.type) in _IN_BINARY for column in self.compiled._result_columns)

    def builder(self, build: Build[T], rows: Described) -> Build[T]:
        """Return what makes a ``T`` of each of a driver's ``rows``."""
        if isinstance(build, Entity):
            known = self._entities.get(build)
            if known is None:
                names = [column.keyname for column in self.compiled._result_columns]
                known = build.of_tuple(names, self._processors(rows))
                self._entities[build] = known
            return known
        if self._read is None:
            self._read = self._reader(rows)
        read = self._read
        return lambda row: build(read(row))

    @cached_property
    def locks(self) -> bool:
        """Whether it locks the rows that it reads, itself or in a part of it."""
        statement = self.compiled.statement
        parts = iterate(statement) if statement is not None else ()
        return any(getattr(part, "_for_update_arg", None) is not None for part in parts)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of its tables, the one that it changes first."""
        if self._tables is None:
            parts = iterate(self.compiled.statement) if self.compiled.statement is not None else ()
            named = (part.name for part in parts if isinstance(part, Table))
            self._tables = tuple(dict.fromkeys(named))
        return self._tables

    def _processors(self, rows: Described) -> list[Processor | None]:
        columns, dialect = self.compiled._result_columns, self.compiled.dialect
        return [
            column.type._cached_result_processor(dialect, described[1])
            for column, described in zip(columns, rows.description, strict=True)
        ]

    def _reader(self, rows: Described) -> Build[AnyRow]:
        """Return what makes a row with named columns of a driver's."""
        names = [column.keyname for column in self.compiled._result_columns]
        make: Build[AnyRow] = _named_tuple("Row", names, rename=True)._make
        processors = [(n, each) for n, each in enumerate(self._processors(rows)) if each]

        def read(row: Sequence[Any]) -> AnyRow:
            values = list(row)
            for number, process in processors:
                values[number] = process(values[number])
            return make(values)

        return read if processors else make


@define(eq=False)
class Form:
    """One statement as one database takes it.

    ``every_hotel`` says that it was declared to serve all hotels, so that none may act, and
    ``writes`` names the tables that it changes.
    """

    every_hotel: bool
    writes: frozenset[str]
    text: str
    _shape: _Shape
    # What is the same in every call, by its place in the driver's list or dictionary.
    _fixed: Any
    _given: Sequence[tuple[Any, str, Processor | None]]
    # What a host's column is given where the statement does not set it.
    _defaults: Mapping[str, Callable[[], Any]]

    @property
    def binary(self) -> bool:
        """Whether PostgreSQL may answer in its binary format."""
        return self._shape.binary

    @property
    def locks(self) -> bool:
        """Whether it locks the rows that it reads, which a reading unit may not."""
        return self._shape.locks

    def sent(self, values: Parameters) -> tuple[str, Any]:
        """Return the text and the parameters of one call, as the driver takes them."""
        return self.text, self.parameters(values)

    def parameters(self, values: Parameters) -> Any:
        """Return the parameters of one call, as the driver takes them."""
        values = self._completed(values)
        parameters = self._fixed.copy()
        for place, key, process in self._given:
            try:
                value = values[key]
            except KeyError:
                raise _missing(key) from None
            parameters[place] = value if process is None else process(value)
        return tuple(parameters) if self._shape.compiled.positional else parameters

    def parameters_of_many(self, rows: Sequence[Parameters], shared: Parameters) -> list[Any]:
        """Return the parameters of many calls, each its own row beside what all ``shared``.

        They are converted column by column, which takes less than half the time.
        """
        if self._defaults or not self._shape.compiled.positional:
            return [self.parameters({**row, **shared}) for row in rows]
        columns = [[value] * len(rows) for value in self._fixed]
        for place, key, process in self._given:
            columns[place] = _column(rows, shared, key, process)
        return list(zip(*columns, strict=True))

    def _completed(self, values: Parameters) -> Parameters:
        if not self._defaults:
            return values
        return {**{key: make() for key, make in self._defaults.items()}, **values}

    def builder(self, build: Build[T], rows: Described) -> Build[T]:
        """Return what makes a ``T`` of each of a driver's ``rows``."""
        return self._shape.builder(build, rows)

    @property
    def verb(self) -> str:
        """``INSERT``, ``UPDATE`` or ``DELETE``, and ``SELECT`` for whatever changes nothing."""
        statement = self._shape.compiled.statement
        return statement.__visit_name__.upper() if isinstance(statement, UpdateBase) else "SELECT"

    @property
    def tables(self) -> tuple[str, ...]:
        """The library's own names of its tables, the one that it changes first."""
        return self._shape.tables


@define(eq=False)
class _ListForm(Form):
    """A statement with a list among its parameters: each value of it has a place in the text.

    On PostgreSQL only where each list is short, or cannot be an array; see `_ArrayForm`.
    """

    _named: Callable[[str], str]
    # What lists of some lengths make of the text.
    _known: dict[tuple[int, ...], _Expanded] = field(init=False, factory=dict)

    def sent(self, values: Parameters) -> tuple[str, Any]:
        """Return the text for lists of these lengths, and the parameters."""
        values = self._completed(values)
        for _, key, _ in self._given:
            if key not in values:
                raise _missing(key)
        given = {**self._fixed, **{name: values[key] for name, key, _ in self._given}}
        lists = self._lists
        if lists is None:
            state = self._state(given)
            return self._expanded(state, {}).sent(state.parameters)
        given.update((name, [*given[name]]) for name in lists)
        lengths = tuple(len(given[name]) for name in lists)
        known = self._known.get(lengths)
        if known is None:
            known = self._learnt(lengths, self._state(given))
        return known.sent(given)

    @cached_property
    def _lists(self) -> Sequence[str] | None:
        """The names of the lists; None if a text depends on more than how long they are."""
        compiled = self._shape.compiled
        lists = compiled.post_compile_params
        kinds = [each.type._unwrapped_dialect_impl(compiled.dialect) for each in lists]
        # What has no type may be rows too.
        of_rows = any(kind._is_tuple_type or kind._isnull for kind in kinds)
        if compiled.literal_execute_params or of_rows:
            return None
        return [compiled.bind_names[each] for each in lists]

    def _state(self, given: Parameters) -> ExpandedState:
        return self._shape.compiled._process_parameters_for_postcompile({**given})

    def _learnt(self, lengths: tuple[int, ...], state: ExpandedState) -> _Expanded:
        places = {
            name: (of, number)
            for of, names in state.parameter_expansion.items()
            for number, name in enumerate(names)
        }
        expanded = self._expanded(state, places)
        if len(self._known) < _MOST_LENGTHS and sum(lengths) <= _LONGEST_KNOWN:
            self._known[lengths] = expanded
        return expanded

    def _expanded(self, state: ExpandedState, places: Mapping[str, tuple[str, int]]) -> _Expanded:
        processors = {**_processors(self._shape.compiled), **state.processors}
        names = state.parameters if state.positiontup is None else state.positiontup
        sources = [
            (of, number, processors.get(name))
            for name in names
            for of, number in [places.get(name, (name, None))]
        ]
        keys = tuple(names) if state.positiontup is None else None
        return _Expanded(self._named(state.statement), sources, keys)


@frozen
class _Expanded:
    """A statement whose lists have a place for each value.

    ``sources`` say of each parameter in which of the given ones it stands, at which place if that
    is a list, and what converts it. ``keys`` are the parameters' names, where they have some.
    """

    text: str
    sources: Sequence[tuple[str, int | None, Processor | None]]
    keys: Sequence[str] | None

    def sent(self, given: Parameters) -> tuple[str, Any]:
        """Return the text, and the parameters as the driver takes them."""
        values = [
            given[name] if number is None else given[name][number]
            for name, number, _ in self.sources
        ]
        ready = [
            value if process is None else process(value)
            for value, (_, _, process) in zip(values, self.sources, strict=True)
        ]
        if self.keys is None:
            return self.text, tuple(ready)
        return self.text, dict(zip(self.keys, ready, strict=True))


@define(eq=False)
class _ArrayForm(Form):
    """A statement of PostgreSQL's that takes a list as one array, so that its text stays the same.

    How many are in an array the server does not know when it makes a plan for any; for one or two
    it takes such a plan to be worse than one of their own, which it makes every time, in longer
    than it then needs to find them. So short lists go as in ``_short``.
    """

    _keys: Collection[str]
    _short: _ListForm

    def sent(self, values: Parameters) -> tuple[str, Any]:
        """Return the text for lists of these lengths, and the parameters."""
        lists = {key: [*values[key]] for key in self._keys if key in values}
        if all(map(_is_short, lists.values())):
            return self._short.sent({**values, **lists})
        return super().sent({**values, **lists})


class Forms:
    """The forms of all statements in one database, under the names that the host gave the tables.

    Looked up by identity, since that is what a lookup costs least; an id is another statement's
    once its own is gone.
    """

    def __init__(self, dialect: Dialect, names: TableNames) -> None:
        self._numbers = dialect.name == "postgresql"
        self._dialect = _numbered(dialect) if self._numbers else dialect
        self._names = names
        self._known: dict[int, tuple[ref[Executable], Form]] = {}
        self._shapes: dict[object, _Shape] = {}

    def of(self, statement: Executable, *, acting: bool) -> Form:
        """Return the form of a statement that may run where one hotel is ``acting``, or none.

        Raises `UnboundStatement` for another.
        """
        known = self._known.get(id(statement))
        if known is not None and known[0]() is statement and known[1].every_hotel is not acting:
            return known[1]
        must_be_bound(statement, acting=acting)
        form = self._form(statement)
        number = id(statement)
        self._known[number] = ref(statement, lambda _: self._known.pop(number, None) and None), form
        return form

    def _form(self, statement: Executable) -> Form:
        key = statement._generate_cache_key()  # type: ignore[attr-defined]  # each kind has it
        shape = self._shape(statement, key)
        compiled = shape.compiled
        fixed = compiled.construct_params(
            extracted_parameters=key.bindparams if key else None, escape_names=False, _check=False
        )
        every_hotel, writes = is_for_every_hotel(statement), written_by(statement)
        named = partial(self._named, compiled)
        text = named(compiled.string)
        made = _defaults(compiled)
        if not (compiled.post_compile_params or compiled.literal_execute_params):
            return Form(every_hotel, writes, text, shape, *_places(compiled, fixed), made)
        given = [(name, bind.key, None) for bind, name in _given(compiled)]
        form = _ListForm(every_hotel, writes, text, shape, fixed, given, made, named)
        arrays = _with_arrays(compiled) if self._numbers else None
        if arrays is None:
            return form
        places = _places(compiled, fixed, arrays)
        of_arrays = (every_hotel, writes, named(arrays.text), shape, *places, made)
        if not all(_is_short(fixed[name]) for name in arrays.lists if fixed[name] is not None):
            return Form(*of_arrays)
        keys = {key for name, key, _ in given if name in arrays.lists}
        return _ArrayForm(*of_arrays, keys, form)

    def _shape(self, statement: Executable, key: CacheKey | None) -> _Shape:
        known = None if key is None else self._shapes.get(key.key)
        if known is not None:
            return known
        translation = None if self._names.schema is None else {None: self._names.schema}
        compiled: SQLCompiler = statement._compiler(  # type: ignore[attr-defined]  # as above
            self._dialect, cache_key=key, schema_translate_map=translation
        )
        shape = _Shape(compiled)
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        if key is not None:
            self._shapes[key.key] = shape
        return shape

    def _named(self, compiled: SQLCompiler, text: str) -> str:
        """Put the host's names into a text."""
        schema = self._names.schema
        if schema is not None:
            text = compiled.preparer._render_schema_translates(text, {None: schema})
        return self._names.in_statement(text)


def _numbered(dialect: Dialect) -> Dialect:
    """Return the dialect with ``$1`` for a parameter, which is how PostgreSQL itself has it."""
    numbered = copy(dialect)
    numbered.paramstyle, numbered.positional = "numeric_dollar", True
    numbered.identifier_preparer = type(dialect.identifier_preparer)(numbered)
    # Literals are written differently, and a type remembers by this how it writes them.
    vars(numbered).pop("_type_memos", None)
    return numbered


def written_by(statement: Executable) -> frozenset[str]:
    """Name the tables that a statement changes; a table expression in a SELECT may change some."""
    parts = iterate(statement) if isinstance(statement, ClauseElement) else ()
    tables = (part.table for part in parts if isinstance(part, UpdateBase))
    return frozenset(table.name if isinstance(table, Table) else "" for table in tables)


def _column(
    rows: Sequence[Parameters], shared: Parameters, key: str, process: Processor | None
) -> list[Any]:
    """Return one parameter of all calls, as the driver takes it."""
    if key in shared:
        value = shared[key]
        return [value if process is None else process(value)] * len(rows)
    try:
        values = [row[key] for row in rows]
    except KeyError:
        raise _missing(key) from None
    return values if process is None else [process(value) for value in values]


def _missing(key: str) -> InvalidInput:
    return InvalidInput(key, "is a parameter of the statement: give it a value")


def _processors(compiled: SQLCompiler) -> Mapping[str, Processor]:
    # It would be a sequence for a tuple, and each element of one has a place of its own.
    return compiled._bind_processors  # type: ignore[return-value]  # for the reason above


def _given(compiled: SQLCompiler) -> Iterator[tuple[BindParameter[Any], str]]:
    """Name the parameters that each call gives, or a column's default."""
    made = _defaults(compiled)
    return (
        (bind, name)
        for bind, name in compiled.bind_names.items()
        if bind.required or bind.key in made
    )


def _defaults(compiled: SQLCompiler) -> Mapping[str, Callable[[], Any]]:
    """Return what makes the defaults of columns in Python: a host's, for ours have none."""
    made = [
        *((column, column.default) for column in compiled.insert_prefetch),
        *((column, column.onupdate) for column in compiled.update_prefetch),
    ]
    return {column.key: partial(_made, default) for column, default in made}


def _made(default: Any) -> Any:  # SQLAlchemy's default of a column of any type
    return default.arg(None) if default.is_callable else default.arg


def _places(
    compiled: SQLCompiler, fixed: Parameters, arrays: _Arrays | None = None
) -> tuple[Any, Any]:
    """Put what is the same in every call into its place, and say what goes into the others."""
    processors, escaped = {**_processors(compiled)}, compiled.escaped_bind_names
    for name in arrays.lists if arrays else ():
        processors[name] = _each(processors.get(name))
    ready = {
        name: processors[name](value) if name in processors and value is not None else value
        for name, value in fixed.items()
    }
    keys = {name: bind.key for bind, name in _given(compiled)}
    if compiled.positional:
        names = arrays.names if arrays else list(compiled.positiontup or ())
        return [ready[name] for name in names], [
            (place, keys[name], processors.get(name))
            for place, name in enumerate(names)
            if name in keys
        ]
    return {escaped.get(name, name): value for name, value in ready.items()}, [
        (escaped.get(name, name), key, processors.get(name)) for name, key in keys.items()
    ]


# -- lists as arrays --------------------------------------------------------------------------


@frozen
class _Arrays:
    """How a statement takes each list as one array, so that its text stays the same.

    ``names`` are those of the parameters, in the order of their places.
    """

    text: str
    names: Sequence[str]
    lists: Collection[str]


def _with_arrays(compiled: SQLCompiler) -> _Arrays | None:
    """Write ``IN`` as ``= ANY``; None where there is no list, or one that stands elsewhere too."""
    lists = {compiled.bind_names[bind] for bind in compiled.post_compile_params}
    kinds = {type(bind.type) for bind in compiled.post_compile_params}
    if not lists or not kinds <= _IN_ARRAYS or compiled.literal_execute_params:
        return None
    one_each = {name: [None] if name in lists else None for name in compiled.bind_names.values()}
    state = compiled._process_parameters_for_postcompile(one_each)
    only = {f"{name}_1": name for name in lists}
    text, names = state.statement, state.positiontup or ()
    for place in (place for place, name in enumerate(names, start=1) if name in only):
        text, changed = _in_list(place).subn(_any_of, text)
        if changed != len(re.findall(rf"\${place}\b", text)):
            return None
    return _Arrays(text, [only.get(name, name) for name in names], lists)


def _in_list(place: int) -> re.Pattern[str]:
    return re.compile(rf"(NOT )?IN \((\${place})(::[A-Z ]+)?\)")


def _any_of(found: re.Match[str]) -> str:
    negated, place, cast = found.groups()
    array = f"{place}{cast}[]" if cast else place
    return f"<> ALL ({array})" if negated else f"= ANY ({array})"


def _is_short(values: Sequence[object]) -> bool:
    return 0 < len(values) <= _SHORT


def _each(process: Processor | None) -> Processor:
    if process is None:
        return list
    return lambda values: [process(value) for value in values]


_FORMS = "hotelcore_forms"


def forms_of(dialect: Dialect, names: TableNames) -> Forms:
    """Return the forms of a database's statements, which live as long as its engine."""
    ours: dict[TableNames, Forms] = vars(dialect).setdefault(_FORMS, {})
    return ours.get(names) or ours.setdefault(names, Forms(dialect, names))
