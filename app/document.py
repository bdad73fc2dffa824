"""The OpenAPI document as a whole, without the noise of Litestar's generator and in the same order every time."""

from typing import Any, Final

from litestar.openapi.spec import OpenAPI

from app.settings import PriorityCase
from app.tasks.fields import PRIORITIES

DEFAULTS: Final = ("deprecated", "required", "allowEmptyValue", "allowReserved")
"""Keywords that mean the same when they are absent as when they are false, or an empty list."""


BIGGEST_INT32: Final = 2**31 - 1


class Document(OpenAPI):
    """What every part has said about itself, and what only the settings can tell."""

    priority_case: PriorityCase = "upper"

    def to_schema(self) -> dict[str, Any]:
        """Return the document as JSON has it."""
        document: dict[str, Any] = _plain(super().to_schema())
        document["paths"] = dict(sorted(document["paths"].items(), key=lambda item: (item[0][:5] != "/api/", item[0])))
        schemas = document["components"]["schemas"]
        schemas["ProblemDetails"]["required"].append("type")  # it has a default, and is always there
        names = [self._written(name) for name in reversed(PRIORITIES)]
        schemas["Task"]["properties"]["priority"]["enum"] = names
        counts = schemas["Stats"]["properties"]["by_priority"]
        counts |= {"properties": dict.fromkeys(names, counts["additionalProperties"]), "required": names}
        counts["additionalProperties"] = False
        for item in document["paths"].values():
            for operation in item.values():
                for response in operation["responses"].values():
                    for media_type in response.get("content", {}).values():
                        media_type["example"] = self._written(media_type["example"])
        return document

    def _written(self, value: Any) -> Any:
        """Return an example with the priorities in the case of this installation's answers."""
        match value:
            case dict():
                return {self._written(key): self._written(member) for key, member in value.items()}
            case list():
                return [self._written(member) for member in value]
        return value.lower() if self.priority_case == "lower" and value in PRIORITIES else value


def _plain(node: Any, *, within: str = "") -> Any:
    """Rewrite what the generator says in a roundabout way; examples stay as they are."""
    if isinstance(node, list):
        return [_plain(member) for member in node]
    if not isinstance(node, dict) or within == "example":
        return node
    if node.get("type") == "integer" and (within in {"id", "revision"} or node.get("maximum", 0) > BIGGEST_INT32):
        return {**node, "format": "int64"}
    plain = {
        key: _plain(value, within=key)
        for key, value in node.items()
        if not (key in DEFAULTS and value in (False, []) and within != "properties")
    }
    match plain.get("oneOf"):
        case [only]:
            del plain["oneOf"]
            return {**only, **plain}
        case [{"type": str(kind), **rest}, {"type": "null", **others}] if not others:
            del plain["oneOf"]
            return {"type": [kind, "null"], **rest, **plain}
    return plain
