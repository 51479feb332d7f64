"""What a statement may consist of, so that its meaning is in its structure: no text, no unknowns.

Whatever is not listed here is refused. A name that is missing costs its caller a line of Python;
one that should not be here could cost a hotel its secrets.
"""

from __future__ import annotations

import re

from sqlalchemy import BinaryExpression, BindParameter, ColumnClause, Label
from sqlalchemy.sql import elements, operators, selectable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.functions import FunctionElement

from hotelcore.errors import UnboundStatement

__all__ = ["cannot_be_judged", "must_be_plain", "must_have_no_additions"]

# Whatever these do, they do it with the elements that they consist of.
_COMPOSED: frozenset[type] = frozenset(
    {
        BinaryExpression,
        Label,
        elements.AggregateOrderBy,
        elements.AsBoolean,
        elements.BooleanClauseList,
        elements.Case,
        elements.Cast,
        elements.ClauseList,
        elements.CollectionAggregate,
        elements.ExpressionClauseList,
        elements.Extract,
        elements.FrameClause,
        elements.FunctionFilter,
        elements.Grouping,
        elements.IndexExpression,
        elements.OrderByList,
        elements.Over,
        elements.Slice,
        elements.Tuple,
        elements.TypeCoerce,
        elements.UnaryExpression,
        elements.WithinGroup,
        elements._label_reference,
        selectable.Exists,
        selectable.ScalarSelect,
    }
)
# These consist of nothing.
_SIMPLE: frozenset[type] = frozenset(
    {
        elements.CollationClause,
        elements.False_,
        elements.Null,
        elements.True_,
        elements.TypeClause,
        elements._textual_label_reference,
    }
)
# Functions that read and change nothing but their arguments.
# fmt: off
_FUNCTIONS = frozenset({
    "abs", "array_agg", "array_length", "avg", "cardinality", "ceil", "ceiling", "char_length",
    "coalesce", "concat", "concat_ws", "convert_from", "count", "cume_dist", "date", "date_part",
    "date_trunc", "dense_rank", "exp", "first_value", "floor", "greatest", "group_concat", "ifnull",
    "instr", "json_array_length", "json_each", "json_extract", "json_group_array",
    "json_group_object", "json_object", "json_type", "jsonb_agg", "jsonb_array_elements",
    "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_object", "jsonb_each",
    "jsonb_each_text", "jsonb_object_agg", "lag", "last_value", "lead", "least", "left", "length",
    "lower", "lpad", "ltrim", "max", "md5", "min", "mod", "mode", "nth_value", "ntile", "nullif",
    "percent_rank", "percentile_cont", "percentile_disc", "power", "rank", "regexp_replace",
    "replace", "right", "round", "row_number", "rpad", "rtrim", "sign", "split_part", "sqrt",
    "strftime", "string_agg", "strpos", "substr", "substring", "sum", "total", "trim", "trunc",
    "unnest", "upper", "width_bucket",
})
# fmt: on
_CONSTANT = re.compile(r"\*|\d+|'[^'\\]*'")
_OPERATOR = re.compile(r"(?!.*(--|/\*))[-+*/<>=~!@#%^&|?]+")
# What lets text, an extension or a mapped class into a statement.
_ADDITIONS = (
    "_prefixes",
    "_suffixes",
    "_hints",
    "_statement_hints",
    "_memoized_select_entities",
    "_post_select_clause",
    "_pre_columns_clause",
    "_post_criteria_clause",
    "_post_body_clause",
    "_propagate_attrs",
    "_params",
    "_with_options",
    "_compile_state_funcs",
    "_multi_values",
)


def must_have_no_additions(statement: object) -> None:
    """Raise `UnboundStatement` if text or an extension stands between a statement's parts."""
    for name in _ADDITIONS:
        if getattr(statement, name, None):
            raise cannot_be_judged(f"what {name.strip('_')} adds")


def must_be_plain(element: ClauseElement) -> None:
    """Raise `UnboundStatement` unless it is known what this element does with those in it."""
    if isinstance(element, ColumnClause):
        if element.is_literal and not _CONSTANT.fullmatch(element.name):
            raise cannot_be_judged("a literal column")
    elif isinstance(element, FunctionElement):
        _must_be_known(element)
    elif not isinstance(element, BindParameter) and type(element) not in _COMPOSED | _SIMPLE:
        raise cannot_be_judged(f"an element of the kind {type(element).__name__}")
    for operator in (getattr(element, name, None) for name in ("operator", "modifier")):
        if isinstance(operator, operators.custom_op) and not _OPERATOR.fullmatch(operator.opstring):
            raise cannot_be_judged("an operator made of text")


def _must_be_known(function: FunctionElement[object]) -> None:
    name = str(getattr(function, "name", ""))
    ours = type(function).__module__.startswith("sqlalchemy.")
    if not ours or name.lower() not in _FUNCTIONS or getattr(function, "packagenames", None):
        remedy = "it is not known to read nothing but its arguments: compute this in Python"
        raise UnboundStatement(f"the function {name}", remedy)


def cannot_be_judged(what: str) -> UnboundStatement:
    """Build the error for what is not made of tables, columns and parameters."""
    remedy = "it cannot be judged: build the statement of tables, columns and parameters alone"
    return UnboundStatement(what, remedy)
