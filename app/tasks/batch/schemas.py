"""What a batch says: its envelope, which is refused as a whole, and operations, of which each is judged by itself."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, cast

from litestar.params import BodyKwarg
from msgspec import NODEFAULT, Raw, Struct, defstruct, structs

from app.errors import FieldError, ProblemDetails, ValidationFailed
from app.http.body import Body, Check, decode
from app.tasks.changes.schemas import ChangedTask
from app.tasks.errors import TaskNotFound
from app.tasks.key import UID_RULE, TaskKey, task_key
from app.tasks.one_task import WRITABLE
from app.tasks.schemas import CHECKS, TaskCreate, TaskUpdate

MAXIMUM: Final = 100
"""Operations of a batch."""

Op = Literal["put", "patch", "delete"]
OPS: Final = ("put", "patch", "delete")
Status = Literal["ok", "conflict", "missing", "invalid"]

WRITTEN: Final = {column.name for column in WRITABLE}
TaskPut = cast(
    "type[Body]",
    defstruct(
        "TaskPut",
        [
            (field.name, field.type) if field.default is NODEFAULT else (field.name, field.type, field.default)
            for field in structs.fields(TaskCreate)
            if field.name in WRITTEN
        ],
        bases=(Body,),
        namespace={"checks": CHECKS, "__doc__": "A whole task; what is absent becomes what it is in a new one."},
    ),
)


class Operation(Struct, frozen=True):
    """An operation that has been read: every column for `put`, those given for `patch`; or what is wrong with it."""

    op: Op
    key: TaskKey | None = None
    values: dict[str, Any] = {}
    base: int | None = None
    errors: Sequence[FieldError] = ()


def _op(value: str) -> str:
    if value not in OPS:
        raise ValueError("Must be put, patch or delete")
    return value


def _whole(value: float | None) -> int | None:
    """Take 26.0 for 26, as JSON Schema does: some languages write every number so."""
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError("Must be a whole number")
        return int(value)
    return value


class Envelope(Body):
    """An operation as far as a batch has to make sense at all."""

    checks: ClassVar[dict[str, Check]] = {"op": _op, "id": _whole, "base": _whole}

    op: str
    uid: str | None = None
    id: int | float | None = None
    base: int | float | None = None
    data: Raw = Raw(b"null")

    def read(self) -> Operation:
        """Check what it says of the task. Raises MalformedJSON."""
        op, number, base = cast("Op", self.op), cast("int | None", self.id), cast("int | None", self.base)
        try:
            key = task_key(self.uid) if self.uid is not None else number
        except TaskNotFound:
            return Operation(op, errors=[FieldError("uid", f"Must be {UID_RULE}, or an id")])
        if op == "delete":
            return Operation(op, key, base=base)
        try:
            values = decode(bytes(self.data), TaskPut if op == "put" else TaskUpdate).present()
        except ValidationFailed as problem:
            errors = [
                FieldError("data" if each.field == "body" else each.field, each.message) for each in problem.errors
            ]
            return Operation(op, key, errors=errors)
        return Operation(op, key, values, base)


class Batch(Body):
    """Operations to carry out in order: all of them or none, unless `atomic` is false."""

    operations: Annotated[list[Raw], BodyKwarg(description=f"At most {MAXIMUM}, carried out in order.")]
    atomic: Annotated[bool, BodyKwarg(description="Absent, it is true.")] = True

    def read(self) -> list[Operation]:
        """Return the operations. Raises MalformedJSON, and ValidationFailed where one cannot be told what it is."""
        if len(self.operations) > MAXIMUM:
            raise ValidationFailed([FieldError("operations", f"Must be at most {MAXIMUM} operations")])
        envelopes, broken = [], []
        for number, raw in enumerate(self.operations):
            place = f"operations.{number}"
            try:
                envelope = decode(bytes(raw), Envelope)
            except ValidationFailed as problem:
                broken += [
                    FieldError(place if each.field == "body" else f"{place}.{each.field}", each.message)
                    for each in problem.errors
                ]
                continue
            if (envelope.uid is None) == (envelope.id is None):
                broken.append(FieldError(f"{place}.uid", "Either uid or id is required, and not both"))
            envelopes.append(envelope)
        if broken:
            raise ValidationFailed(broken)
        return [envelope.read() for envelope in envelopes]


class BatchResult(Struct):
    """What became of an operation, the task as it is now, null if there is none, and the rules that are broken."""

    status: Status
    task: ChangedTask | None
    errors: list[FieldError]


class BatchAnswer(Struct):
    """The user's revision after a batch, and what became of each operation, in their order."""

    revision: int
    results: list[BatchResult]


class BatchProblem(ProblemDetails, kw_only=True):
    """A problem with the results of the operations, none of which was carried out."""

    revision: int
    results: list[BatchResult]
