"""Checks that schemathesis loads: what JSON Schema does not say about a value, the words of the document do.

A refusal of what fits the schema, and an acceptance of what does not, has to follow from a sentence of the document.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from schemathesis import Case, CheckContext, Response
from schemathesis.specs.openapi.checks import negative_data_rejection

from app.tasks.key import is_uid

MOMENTS: Final = st.builds(
    lambda moment, offset: f"{moment.isoformat()}{offset}",
    st.datetimes(datetime(1890, 1, 1), datetime(3009, 12, 31)),  # noqa: DTZ001 - the offset is added as text
    st.sampled_from(["Z", "z", "+00:00", "-11:30", "+05:45"]),
)
schemathesis.openapi.format("date-time", MOMENTS | st.just("2016-12-31T23:59:60Z"))
"""Most of any years would be outside of ours, and a request that is refused for that shows nothing else."""


class Rule(NamedTuple):
    """A sentence of ours in an answer 422, the words for it in the document, and whether a value breaks it."""

    message: str
    words: str
    is_broken_by: Callable[[Any], bool]


def is_outside_of_years(text: str) -> bool:
    return not "1901" <= text[:4] <= "2998"  # in the first and the last one an offset decides


def is_no_moment_for_python(text: str) -> bool:
    """A leap second, or the year 0."""
    return re.search(r"\d\d:\d\d:60", text) is not None or text.startswith("0000")


REFUSED: Final = (
    Rule("Must be 8 to 64 of A-Z a-z 0-9 - _", "8 to 64 of A-Z a-z 0-9 - _", lambda uid: not is_uid(uid)),
    Rule("Either uid or id is required", "Either this or `id`", lambda _: True),
    Rule("Must be the Idempotency-Key", "The new task's `uid`", lambda _: True),
    Rule("Must not be blank", "never blank", lambda text: not text.strip()),
    Rule("Must not contain NUL characters", "No text may contain U+0000", lambda value: "\\u0000" in json.dumps(value)),
    Rule(" characters without NUL", "No text may contain U+0000", lambda value: "\\u0000" in json.dumps(value)),
    Rule("Must be tags of 1 to 50 characters", "No text may contain U+0000", lambda tags: any("\0" in t for t in tags)),
    Rule("Must be in the years 1900 to 2999", "Years 1900 to 2999", is_outside_of_years),
    Rule("Must be an RFC 3339 date-time or a date", "without leap seconds", is_no_moment_for_python),
    Rule("Must not be deleted without", "`deleted` is for `status=deleted`", lambda sort: sort == "deleted"),
    Rule("Is not a cursor of this list", "opaque, from its Link header", lambda _: True),
    Rule("Belongs to a list in another order", "for the same sort and order", lambda _: True),
)

ACCEPTED: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "tags": ("Comma-separated text, or a JSON array in a string, is accepted as well", lambda _: []),
    "priority": ("Any case is accepted", str.upper),
    "due_date": ("or a date; without an offset it is UTC", lambda _: None),
}
"""For each field that has more forms than its schema, the words for them, and a value of its schema for any of them."""

IGNORED: Final[Mapping[str, str]] = {"if-none-match": "Anything else is ignored"}
"""Headers that mean nothing where they do not fit their schema, and the words for it."""


@schemathesis.hook
def map_body(_: Any, body: Any) -> Any:
    """Name the task of each operation of a batch once: that it is either way has no form in JSON Schema.

    Most batches would be refused for that, and show nothing else.
    """
    operations = body.get("operations") if isinstance(body, dict) else None
    for operation in operations if isinstance(operations, list) else ():
        if isinstance(operation, dict) and (operation.get("uid") is None) == (operation.get("id") is None):
            operation.pop("id", None)
            operation["uid"] = "named-by-its-client"
    return body


UNKNOWN: Final = "Names without meaning are ignored"


@schemathesis.check
def refuses_nothing_valid_without_a_word(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Every 422 for a request that fits the schemas names a rule that the document has in words."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code == 412:
        assert case.headers.get("If-Match", "*") != "*", "A write without a condition cannot fail one"
    if response.status_code == 400:
        assert response.json()["code"] == "malformed_idempotency_key"
        assert not is_uid(case.headers["Idempotency-Key"].strip('"')), "Of the schema, and not of digits only"
    if response.status_code == 410:
        is_create = case.method == "POST"  # which has met its own task's tombstone
        assert is_create or any(case.query.get(name) for name in ("since", "snapshot")), "From 0 on all can be told"
    if response.status_code == 409:
        assert {result["status"] for result in response.json()["results"]} - {"ok"}, "Only that stops a batch"
    for error, value in refusals(response, case.query, case.body):
        rules = [rule for rule in REFUSED if rule.message in error["message"]]
        assert any(rule.is_broken_by(value) for rule in rules), f"{error} for {value!r}"


@schemathesis.check
def accepts_nothing_invalid_without_a_word(context: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """What does not fit the schemas is accepted only in the forms for which the document has words."""
    if is_batch_in_words(response, case.body):
        return None
    if response.status_code < 300 and isinstance(case.body, dict):
        schema = validator("TaskCreate" if case.method == "POST" else "TaskUpdate")
        if schema.is_valid({name: in_schema(name, value) for name, value in case.body.items()}):
            return None
    if response.status_code < 400 and case.query.keys() - {parameter.name for parameter in case.operation.query}:
        return None  # a name without meaning in the query string, for which UNKNOWN has words
    sent = case.headers
    case.headers = CaseInsensitiveDict({name: sent[name] for name in sent if name.lower() not in IGNORED})
    try:
        return negative_data_rejection(context, response, case)
    finally:
        case.headers = sent


def is_batch(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("operations"), list)


def refusals(response: Response, query: Any, body: Any) -> Iterator[tuple[Mapping[str, str], Any]]:
    """Yield each rule that the answer says is broken, and the value that breaks it."""
    if response.status_code == 422:
        for error in response.json()["errors"]:
            yield error, member(query if error["field"] in query else body, error["field"])
    elif is_batch(body) and response.status_code in {200, 409}:
        for given, result in zip(body["operations"], response.json()["results"], strict=True):
            of_operation = {name: given[name] for name in ("uid", "id", "base") if name in given}
            for error in result["errors"]:
                yield error, member({**(given.get("data") or {}), **of_operation}, error["field"])


def is_batch_in_words(response: Response, body: Any) -> bool:
    """Tell whether a batch was refused where it does not fit its schema, or fits it but for the forms with words."""
    if not is_batch(body) or response.status_code not in {200, 409}:
        return False
    if "invalid" in {result["status"] for result in response.json()["results"]}:
        return True
    return validator("Batch").is_valid({**body, "operations": [*map(in_schemas, body["operations"])]})


def member(value: Any, place: str) -> Any:
    """Return what stands at a place such as `operations.3.op`, None where nothing does."""
    for step in place.split("."):
        value = value[int(step)] if isinstance(value, list) else (value or {}).get(step)
    return value


def in_schemas(operation: Any) -> Any:
    """Return an operation of a batch with the fields of its data as their schemas want them."""
    if not isinstance(operation, dict) or not isinstance(operation.get("data"), dict):
        return operation
    return {**operation, "data": {name: in_schema(name, value) for name, value in operation["data"].items()}}


def in_schema(name: str, value: Any) -> Any:
    """Return a text of a field in one of its other forms as its schema wants it."""
    return ACCEPTED[name][1](value) if name in ACCEPTED and isinstance(value, str) else value


@cache
def validator(name: str) -> jsonschema_rs.Validator:
    document = json.loads(Path("openapi.json").read_text())
    reference = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(reference)
