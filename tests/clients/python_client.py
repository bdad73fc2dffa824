"""A client of openapi-python-client, generated into api/."""

import os
from datetime import UTC, datetime

from api import AuthenticatedClient
from api.api.tasks import complete_task, create_task, delete_task, get_task, list_tasks, run_batch, update_task
from api.models import (
    Batch,
    BatchAnswer,
    BatchProblem,
    Completion,
    DeleteOperation,
    DeleteOperationOp,
    ListTasksSort,
    PatchOperation,
    PatchOperationOp,
    Priority,
    ProblemDetails,
    PutOperation,
    PutOperationOp,
    Task,
    TaskCreate,
    TaskUpdate,
)

client = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["TOKEN"])

created = create_task.sync_detailed("me", client=client, body=TaskCreate("Buy milk"))
assert isinstance(created.parsed, Task)
assert not created.parsed.completed
print("create", created.status_code)
task_id = created.parsed.id
first_tag = created.headers["ETag"]

create_task.sync("me", client=client, body=TaskCreate("Call Ada", priority=Priority.HIGH, tags=["work"]))
create_task.sync("me", client=client, body=TaskCreate("Sort photos", priority=Priority.LOW))
both = [Priority.HIGH, Priority.LOW]
listed = list_tasks.sync_detailed("me", client=client, priority=both, sort=ListTasksSort.TITLE)
assert isinstance(listed.parsed, list)
assert [task.title for task in listed.parsed] == ["Call Ada", "Sort photos"]
print("list", listed.status_code)

unchanged = list_tasks.sync_detailed(
    "me", client=client, priority=both, sort=ListTasksSort.TITLE, if_none_match=listed.headers["ETag"]
)
assert unchanged.parsed is None
print("unchanged", unchanged.status_code)

changes = TaskUpdate(title="Buy oat milk", due_date=datetime(2026, 12, 1, 10, tzinfo=UTC))
updated = update_task.sync_detailed("me", task_id, client=client, body=changes, if_match=first_tag)
assert isinstance(updated.parsed, Task)
assert (updated.parsed.title, updated.parsed.due_date) == ("Buy oat milk", changes.due_date)
print("update", updated.status_code)

completed = complete_task.sync_detailed("me", task_id, client=client, body=Completion(completed=True))
assert isinstance(completed.parsed, Task)
assert completed.parsed.completed
print("complete", completed.status_code)

stale = update_task.sync_detailed(
    "me", task_id, client=client, body=TaskUpdate(title="Buy soy milk"), if_match=first_tag
)
assert isinstance(stale.parsed, ProblemDetails)
assert stale.parsed.code == "stale_revision"
print("stale", stale.status_code)

invalid = create_task.sync_detailed("me", client=client, body=TaskCreate(" "))
assert isinstance(invalid.parsed, ProblemDetails)
assert [(error.field, error.message) for error in invalid.parsed.errors] == [("title", "Must not be blank")]
print("invalid", invalid.status_code)

deleted = delete_task.sync_detailed("me", task_id, client=client)
print("delete", deleted.status_code)

missing = get_task.sync_detailed("me", task_id, client=client)
assert isinstance(missing.parsed, ProblemDetails)
assert missing.parsed.code == "task_not_found"
print("missing", missing.status_code)

batch = run_batch.sync_detailed(
    "me",
    client=client,
    body=Batch(
        [
            PutOperation(PutOperationOp.PUT, TaskCreate("Buy tea"), uid="made-offline"),
            PatchOperation(PatchOperationOp.PATCH, TaskUpdate(completed=True), uid="made-offline", base=0),
            DeleteOperation(DeleteOperationOp.DELETE, id=task_id),
        ]
    ),
)
assert isinstance(batch.parsed, BatchAnswer)
assert [result.task and result.task.title for result in batch.parsed.results] == ["Buy tea", "Buy tea", "Buy oat milk"]
print("batch", batch.status_code)

nothing = PatchOperation(PatchOperationOp.PATCH, TaskUpdate(), uid="never-made")
refused = run_batch.sync_detailed("me", client=client, body=Batch([nothing]))
assert isinstance(refused.parsed, BatchProblem)
assert [result.status for result in refused.parsed.results] == ["missing"]
print("refused", refused.status_code)
