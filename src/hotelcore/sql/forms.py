"""What a statement looks like to a driver: its text, its parameters and how its rows are read.

A statement is compiled once for a database, and what is built anew from the same parts not again.
SQLAlchemy's own execution does the same work for every call, which on one row costs more than the
database does. Private parts of SQLAlchemy are used here: compiling under a cache key, and what it
knows of a statement's parameters and columns, have no public names.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, ref

from attrs import define, field
from sqlalchemy import BindParameter, Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.cache_key import CacheKey
from sqlalchemy.sql.compiler import SQLCompiler

from hotelcore.sql.binding import is_for_every_hotel, must_be_bound
from hotelcore.sql.schema import TableNames

__all__ = ["AnyRow", "Form", "Forms", "Parameters", "forms_of"]

# A row's columns are known to its builder alone; a parameter's type to its column.
AnyRow: TypeAlias = Any
Parameters: TypeAlias = Mapping[str, Any]
Processor: TypeAlias = Callable[[Any], Any]
Reader: TypeAlias = Callable[[Sequence[Any]], AnyRow]

_MOST_SHAPES = 2_000


@define(eq=False)
class Form:
    """One statement as one database takes it.

    ``every_hotel`` says that it was declared to serve all hotels, so that none may act.
    """

    every_hotel: bool
    text: str
    _compiled: SQLCompiler
    # What is the same in every call, by its place in the driver's list or dictionary.
    _fixed: Any
    _given: Sequence[tuple[Any, str, Processor | None]]
    _read: Reader | None = field(init=False, default=None)

    def sent(self, values: Parameters) -> tuple[str, Any]:
        """Return the text and the parameters of one call, as the driver takes them."""
        return self.text, self.parameters(values)

    def parameters(self, values: Parameters) -> Any:
        """Return the parameters of one call, as the driver takes them."""
        parameters = self._fixed.copy()
        for place, key, process in self._given:
            value = values[key]
            parameters[place] = value if process is None else process(value)
        return parameters

    def reader(self, description: Sequence[Sequence[Any]]) -> Reader:
        """Return what makes a row with named columns of what the driver's cursor describes."""
        if self._read is None:
            self._read = _reader(self._compiled, description)
        return self._read


@define(eq=False)
class _ListForm(Form):
    """A statement with a list among its parameters: each value of it has a place in the text."""

    _named: Callable[[str], str]

    def sent(self, values: Parameters) -> tuple[str, Any]:
        """Return the text for lists of these lengths, and the parameters."""
        given = {**self._fixed, **{name: values[key] for name, key, _ in self._given}}
        state = self._compiled._process_parameters_for_postcompile(given)
        processors = {**_processors(self._compiled), **state.processors}
        ready = {
            name: processors[name](value) if name in processors else value
            for name, value in state.parameters.items()
        }
        places = state.positiontup
        parameters = ready if places is None else [ready[name] for name in places]
        return self._named(state.statement), parameters


def _reader(compiled: SQLCompiler, description: Sequence[Sequence[Any]]) -> Reader:
    columns, dialect = compiled._result_columns, compiled.dialect
    kind = namedtuple("Row", [column.keyname for column in columns], rename=True)  # type: ignore[misc]  # the columns are known at run time
    processors = [
        (number, process)
        for number, (column, described) in enumerate(zip(columns, description, strict=True))
        if (process := column.type._cached_result_processor(dialect, described[1])) is not None
    ]
    make = kind._make
    if not processors:
        return make

    def read(row: Sequence[Any]) -> AnyRow:
        values = list(row)
        for number, process in processors:
            values[number] = process(values[number])
        return make(values)

    return read


class Forms:
    """The forms of all statements in one database, under the names that the host gave the tables.

    Looked up by identity, since that is what a lookup costs least; an id is another statement's
    once its own is gone.
    """

    def __init__(self, dialect: Dialect, names: TableNames) -> None:
        self._dialect = dialect
        self._names = names
        self._known: dict[int, tuple[ref[Executable], Form]] = {}
        self._shapes: dict[object, SQLCompiler] = {}

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
        compiled = self._compiled(statement, key)
        fixed = compiled.construct_params(
            extracted_parameters=key.bindparams if key else None, escape_names=False, _check=False
        )
        every_hotel, named = is_for_every_hotel(statement), partial(self._named, compiled)
        text = named(compiled.string)
        if compiled.post_compile_params:
            given = [(name, bind.key, None) for bind, name in _given(compiled)]
            return _ListForm(every_hotel, text, compiled, fixed, given, named)
        return Form(every_hotel, text, compiled, *_places(compiled, fixed))

    def _compiled(self, statement: Executable, key: CacheKey | None) -> SQLCompiler:
        known = None if key is None else self._shapes.get(key.key)
        if known is not None:
            return known
        translation = None if self._names.schema is None else {None: self._names.schema}
        compiled: SQLCompiler = statement._compiler(  # type: ignore[attr-defined]  # as above
            self._dialect, cache_key=key, schema_translate_map=translation
        )
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        if key is not None:
            self._shapes[key.key] = compiled
        return compiled

    def _named(self, compiled: SQLCompiler, text: str) -> str:
        """Put the host's names into a text."""
        schema = self._names.schema
        if schema is not None:
            text = compiled.preparer._render_schema_translates(text, {None: schema})
        return self._names.in_statement(text)


def _processors(compiled: SQLCompiler) -> Mapping[str, Processor]:
    # It would be a sequence for a tuple, and each element of one has a place of its own.
    return compiled._bind_processors  # type: ignore[return-value]


def _given(compiled: SQLCompiler) -> Iterator[tuple[BindParameter[Any], str]]:
    """Name the parameters that each call gives."""
    return ((bind, name) for bind, name in compiled.bind_names.items() if bind.required)


def _places(compiled: SQLCompiler, fixed: Parameters) -> tuple[Any, Any]:
    """Put what is the same in every call into its place, and say what goes into the others."""
    processors, escaped = _processors(compiled), compiled.escaped_bind_names
    ready = {
        name: processors[name](value) if name in processors and value is not None else value
        for name, value in fixed.items()
    }
    keys = {name: bind.key for bind, name in _given(compiled)}
    if compiled.positional:
        names = list(compiled.positiontup or ())
        return [ready[name] for name in names], [
            (place, keys[name], processors.get(name))
            for place, name in enumerate(names)
            if name in keys
        ]
    return {escaped.get(name, name): value for name, value in ready.items()}, [
        (escaped.get(name, name), key, processors.get(name)) for name, key in keys.items()
    ]


_forms: WeakKeyDictionary[Dialect, dict[TableNames, Forms]] = WeakKeyDictionary()


def forms_of(dialect: Dialect, names: TableNames) -> Forms:
    """Return the forms of a database's statements; engines keep theirs as long as they live."""
    ours = _forms.setdefault(dialect, {})
    return ours.get(names) or ours.setdefault(names, Forms(dialect, names))
