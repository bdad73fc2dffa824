"""Says plainly, in a finished OpenAPI document, what Litestar's generator says in a way that other programs misread."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, Final

from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType

BIGGEST_INT32: Final = 2**31 - 1
MEANS_NOTHING: Final = ("deprecated", "required", "allow_empty_value", "allow_reserved")
"""Keywords that mean the same when they are absent as when they are false, or an empty list."""

LEAVES: Final = frozenset({NoneType, bool, int, float, str})
"""Types of what there is nothing to say about; most members of a document are None."""

HARMFUL: Final = ("default", "title")
"""Keywords of schemas that generators of clients read otherwise than meant: some require a field that has a default,
some send it with every request; titles only repeat names.
"""


def simplify(node: Any, name: str = "") -> None:
    """Say plainly what the generator says in a roundabout way; `name` is the key under which the node stands."""
    for key, child in _children(node):
        if type(child) not in LEAVES:
            simplify(child, key)
    for keyword in MEANS_NOTHING:
        if getattr(node, keyword, None) in (False, []):
            setattr(node, keyword, None)
    if isinstance(node, Schema):
        for keyword in HARMFUL:
            setattr(node, keyword, None)
        node.items = _referred(node.items)
        node.properties = node.properties and {key: _referred(each) for key, each in node.properties.items()}
        if node.type is OpenAPIType.INTEGER and (name in {"id", "revision"} or (node.maximum or 0) > BIGGEST_INT32):
            node.format = "int64"  # type: ignore[assignment]  # not in Litestar's list
        match node.one_of:
            case [Schema() as only]:
                _take_over(node, only)
            case [Schema(type=OpenAPIType() as kind) as only, Schema(type=OpenAPIType.NULL)]:
                _take_over(node, only)
                node.type = [kind, OpenAPIType.NULL]


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    if is_dataclass(node):
        return ((field.name, getattr(node, field.name)) for field in fields(node))
    if isinstance(node, Mapping):
        return iter(node.items())
    return (("", member) for member in node) if isinstance(node, list) else iter(())


def _referred(schema: Any) -> Any:
    """Return the reference that a schema wraps, which it cannot become in place."""
    match schema:
        case Schema(one_of=[Reference() as only]):
            return only
    return schema


def _take_over(schema: Schema, only: Schema) -> None:
    """Let `schema` be the one that it wraps; what it says itself stays."""
    schema.one_of = None
    for field in fields(schema):
        if getattr(schema, field.name) is None:
            setattr(schema, field.name, getattr(only, field.name))
