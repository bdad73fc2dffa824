"""A batch comes to what its operations come to one after the other, and to nothing when it comes again."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.tasks.batch.folding import Plan, fold
from app.tasks.batch.schemas import Operation
from app.tasks.batch.slot import Stored
from tests.tasks.batch.model import BROKEN, Model, Row, rows_of

UIDS = ["task-one", "task-two", "task-six"]
VALUES = st.fixed_dictionaries({"title": st.sampled_from("ab"), "completed": st.booleans()})
CHANGES = st.fixed_dictionaries({}, optional={"title": st.sampled_from("ab"), "completed": st.booleans()})
KEYS = st.integers(1, 4) | st.sampled_from(UIDS)
BASES = st.none() | st.integers(0, 9)
VALID = (
    st.builds(Operation, st.just("put"), KEYS, VALUES, BASES)
    | st.builds(Operation, st.just("patch"), KEYS, CHANGES, BASES)
    | st.builds(Operation, st.just("delete"), KEYS, st.just({}), BASES)
)
INVALID = st.builds(Operation, st.sampled_from(["put", "patch"]), st.none() | KEYS, errors=st.just(BROKEN))
OPERATIONS = st.lists(VALID, max_size=8) | st.lists(VALID | INVALID, max_size=8)


@st.composite
def stores(draw: st.DrawFn) -> list[Stored]:
    uids = draw(st.permutations([*UIDS[:2], None]))
    return [
        Stored(number, uid, draw(st.integers(1, 9)), draw(VALUES), draw(st.booleans()), "{}")
        for number, uid in enumerate(uids[: draw(st.integers(0, 3))], start=1)
    ]


def after(plan: Plan, stored: Sequence[Stored]) -> list[Stored]:
    """What is stored once the plan has been written, revisions raised."""
    tasks = {task.id: task for task in stored}
    for number, slot in enumerate(plan.writes):
        assert slot.values is not None
        task_id = slot.stored.id if slot.stored else 100 + number
        tasks[task_id] = Stored(task_id, slot.uid, 10 + number, slot.values, slot.deleted, "{}")
    return [*tasks.values()]


def contents(rows: Sequence[Row]) -> list[str]:
    return sorted(repr(row.contents) for row in rows)


@given(stored=stores(), operations=OPERATIONS, atomic=st.booleans())
def test_operations_come_to_what_they_come_to_one_by_one(
    stored: list[Stored], operations: list[Operation], atomic: bool
) -> None:
    plan = fold(operations, stored, atomic=atomic)
    model = Model(rows_of(stored), operations, atomic=atomic)
    assert [outcome.status for outcome in plan.outcomes] == model.statuses
    assert contents(rows_of(after(plan, stored))) == contents(model.rows)
    assert len(plan.writes) == len(model.written)
    assert plan.refused == (atomic and bool({*model.statuses} - {"ok"}))


@given(stored=stores(), operations=OPERATIONS)
def test_an_atomic_batch_that_comes_again_is_fine_and_writes_nothing(
    stored: list[Stored], operations: list[Operation]
) -> None:
    first = fold(operations, stored, atomic=True)
    again = fold(operations, after(first, stored), atomic=True)
    assert again.writes == []
    assert first.refused or {outcome.status for outcome in again.outcomes} <= {"ok"}


@given(stored=stores(), operations=OPERATIONS)
def test_a_batch_of_which_a_part_was_refused_writes_nothing_when_it_comes_again(
    stored: list[Stored], operations: list[Operation]
) -> None:
    first = fold(operations, stored, atomic=False)
    assert fold(operations, after(first, stored), atomic=False).writes == []


def test_what_was_created_and_deleted_and_could_not_be_changed_stays_deleted_when_it_comes_again() -> None:
    operations = [
        Operation("put", "task-one", {"title": "a", "completed": False}),
        Operation("delete", "task-one", base=0),
        Operation("patch", "task-one", {"title": "b"}),
    ]
    first = fold(operations, [], atomic=False)
    assert [slot.deleted for slot in first.writes] == [True]
    again = fold(operations, after(first, []), atomic=False)
    assert again.writes == []
    told = [[outcome.status for outcome in plan.outcomes] for plan in (first, again)]
    assert told == [["ok", "ok", "missing"]] * 2


@given(stored=stores(), operations=st.lists(VALID, max_size=8))
def test_what_is_named_by_id_and_by_uid_is_one_task(stored: list[Stored], operations: list[Operation]) -> None:
    """The database returns such a task for each of its names."""
    plan = fold(operations, [*stored, *stored], atomic=False)
    assert [each.status for each in plan.outcomes] == [
        each.status for each in fold(operations, stored, atomic=False).outcomes
    ]
    ids = [slot.stored.id for slot in plan.writes if slot.stored]
    assert len(ids) == len(set(ids))


def test_the_clients_own_operations_are_no_reason_to_refuse_each_other() -> None:
    stored = [Stored(1, None, 5, {"title": "a", "completed": False}, False, "{}")]
    operations = [Operation("patch", 1, {"title": "b"}, 5), Operation("patch", 1, {"completed": True}, 5)]
    plan = fold(operations, stored, atomic=True)
    assert [outcome.status for outcome in plan.outcomes] == ["ok", "ok"]
    [slot] = plan.writes
    assert slot.values == {"title": "b", "completed": True}
