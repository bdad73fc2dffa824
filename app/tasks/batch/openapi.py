"""What the documentation says of batches."""

from typing import Any, Final

from litestar.openapi.spec import Discriminator, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType

from app.http.openapi import operation
from app.tasks.batch.errors import BatchConflict
from app.tasks.key import UID_RULE
from app.tasks.openapi import A_BODY, EVERY_ROUTE, TASK, USER_ID, invalid

NAMED: Final = "9b2e4c1a-5d07-4f7e-8a63-0c1d2e3f4a5b"
DELETED: Final = {**TASK, "uid": NAMED, "deleted_at": TASK["updated_at"]}  # the generator drops nulls from examples
RESULTS: Final = [{"status": "ok", "task": DELETED, "errors": []}] * 2
REFUSED: Final = [{"status": "missing", "task": DELETED, "errors": []}, RESULTS[1]]
BODY: Final = {
    "atomic": True,
    "operations": [
        {"op": "patch", "uid": NAMED, "base": TASK["revision"], "data": {"completed": True}},
        {"op": "delete", "uid": NAMED},
    ],
}

OR_NULL: Final = [OpenAPIType.INTEGER, OpenAPIType.NULL]
"""Null is none, in every member of an operation that may be absent."""

BATCH: Final = operation(
    "runBatch",
    "Run a batch",
    success="What became of each operation, in order",
    body=BODY,
    example={"revision": TASK["revision"], "results": RESULTS},
    parameters=[USER_ID],
    problems=[
        *EVERY_ROUTE,
        *A_BODY,
        BatchConflict(TASK["revision"], REFUSED),
        invalid("operations.3.op", "Must be put, patch or delete"),
    ],
)

OPERATIONS: Final = {
    "put": ("PutOperation", "TaskCreate", "Create a task under a uid, or replace all of one, deleted or not."),
    "patch": ("PatchOperation", "TaskUpdate", "Change the fields given."),
    "delete": ("DeleteOperation", None, "Delete a task; one that is gone is fine."),
}
"""By `op`: the name of the schema, that of its data, and what it does."""


def describe_operations(document: Any) -> None:
    """Describe the operations of a batch by what they do, in place."""
    references: list[Schema | Reference] = []
    mapping = {}
    for op, (name, data, description) in OPERATIONS.items():
        properties: dict[str, Any] = {
            "op": Schema(type=OpenAPIType.STRING, enum=[op]),
            "uid": Schema(
                type=[OpenAPIType.STRING, OpenAPIType.NULL],
                description=f"The client's name for the task ({UID_RULE}), or its id as text. Either this or `id`.",
            ),
            "id": Schema(type=OR_NULL, format="int64", description="The task's id."),  # type: ignore[arg-type]  # not in Litestar's list
            "base": Schema(
                type=OR_NULL,
                format="int64",  # type: ignore[arg-type]  # the same
                description="Refuse it if the task has changed since this revision.",
            ),
        }
        if data:
            properties["data"] = Reference(f"#/components/schemas/{data}")
        document.components.schemas[name] = Schema(
            type=OpenAPIType.OBJECT,
            description=description,
            properties=properties,
            required=["op", "data"] if data else ["op"],
        )
        mapping[op] = f"#/components/schemas/{name}"
        references.append(Reference(mapping[op]))
    operations = document.components.schemas["Batch"].properties["operations"]
    operations.items = Schema(one_of=references, discriminator=Discriminator("op", mapping))
