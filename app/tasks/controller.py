from typing import Any, Final

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.http.body import StrictRequest
from app.http.conditional import etag, if_match, if_none_match
from app.http.openapi import ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, OF_A_BODY, operation, problems
from app.http.response import JSONResponse, not_modified
from app.tasks.guard import NamesATask
from app.tasks.parameters import LIST_PARAMETERS
from app.tasks.query import from_cursor, parse
from app.tasks.repository import StoredTask, TaskRepository
from app.tasks.schemas import Completion, Task, TaskCreate, TaskUpdate

TASK_EXAMPLE: Final = {
    "id": 1,
    "user_id": "K3vYt0aQ",
    "title": "Buy milk",
    "description": "Two litres, the one with the blue cap",
    "priority": "MEDIUM",
    "tags": ["home"],
    "due_date": "2026-12-01T10:00:00+00:00",
    "completed": False,
    "created_at": "2026-11-22T08:30:00.123456+00:00",
    "updated_at": "2026-11-22T08:30:00.123456+00:00",
    "revision": 1795336200123456,
}

Tasks = NamedDependency[TaskRepository]

CREATE_EXAMPLE: Final = {
    "title": "Buy milk",
    "priority": "MEDIUM",
    "tags": ["home"],
    "due_date": "2026-12-01T10:00:00Z",
}
UPDATE_EXAMPLE: Final = {"title": "Buy oat milk", "priority": "HIGH"}


def _write(name: str, summary: str, invalid: tuple[str, str], **body: Any) -> dict[str, Any]:
    return {
        "middleware": [NamesATask()],
        "operation_id": name,
        "summary": summary,
        "responses": problems(404, 412, *OF_A_BODY),
        "operation_class": operation(
            success="The task as it is now",
            example=TASK_EXAMPLE,
            headers={"ETag": ETAG},
            parameters=[IF_MATCH],
            invalid=invalid,
            **body,
        ),
    }


UPDATE: Final[dict[str, Any]] = {"invalid": ("title", "Must not be blank"), "body": UPDATE_EXAMPLE}
COMPLETE: Final[dict[str, Any]] = {
    "invalid": ("completed", "Expected `bool`, got `str`"),
    "body": {"completed": True},
    "body_required": False,
}


class TaskController(Controller):
    """The caller's tasks."""

    path = "/api/{user_id:str}/tasks"
    tags = ["tasks"]  # noqa: RUF012 - Litestar reads it from the class

    @get(
        operation_id="listTasks",
        summary="List tasks",
        responses=problems(422),
        operation_class=operation(
            success="One page of tasks",
            example=[TASK_EXAMPLE],
            headers={"ETag": ETAG, "Link": LINK},
            parameters=LIST_PARAMETERS,
            invalid=("limit", "Must be a whole number from 1 to 1000"),
            not_modified=True,
        ),
    )
    async def list_tasks(self, request: StrictRequest, tasks: Tasks) -> JSONResponse[list[Task]]:
        """One page of the user's tasks, newest first unless asked otherwise. Unknown parameters are ignored."""
        query = parse(request.scope["query_string"])
        known = if_none_match(request.scope)
        page = await tasks.page(request.user.id, query, known)
        if page.body is None or page.revision in known:
            return not_modified(etag(page.revision))
        headers = {"ETag": etag(page.revision)}
        if page.next_cursor is not None:
            headers["Link"] = _next_page(request, page.next_cursor)
        return JSONResponse(page.body, headers=headers)

    @post(
        operation_id="createTask",
        summary="Create a task",
        responses=problems(*OF_A_BODY),
        operation_class=operation(
            success="The new task",
            example=TASK_EXAMPLE,
            headers={"ETag": ETAG, "Location": LOCATION},
            body=CREATE_EXAMPLE,
        ),
    )
    async def create(self, request: StrictRequest, tasks: Tasks, data: JSONBody[TaskCreate]) -> JSONResponse[Task]:
        """Only the title is required. Unknown fields are ignored."""
        task = await tasks.create(request.user.id, data.given())
        location = f"{request.scope['path'].rstrip('/')}/{task.id}"
        return JSONResponse(task.body, status=201, headers={"ETag": etag(task.revision), "Location": location})

    @get(
        "/{task_id:str}",
        middleware=[NamesATask()],
        operation_id="getTask",
        summary="Read a task",
        responses=problems(404),
        operation_class=operation(
            success="The task",
            example=TASK_EXAMPLE,
            headers={"ETag": ETAG},
            parameters=[IF_NONE_MATCH],
            not_modified=True,
        ),
    )
    async def read(self, request: StrictRequest, tasks: Tasks, task_id: FromPath[int]) -> JSONResponse[Task]:
        """One task, unless `If-None-Match` names its revision."""
        task = await tasks.get_one_of(request.user.id, task_id, if_none_match(request.scope))
        return not_modified(etag(task.revision)) if task.body is None else _task(task)

    @patch("/{task_id:str}", **_write("updateTask", "Update a task", **UPDATE))
    async def update(
        self, request: StrictRequest, tasks: Tasks, task_id: FromPath[int], data: JSONBody[TaskUpdate]
    ) -> JSONResponse[Task]:
        """Change the fields given: an absent one stays as it is, null clears one that can be empty."""
        return await _changed(request, tasks, task_id, data)

    @put("/{task_id:str}", **_write("putTask", "Update a task (PUT)", **UPDATE))
    async def put(
        self, request: StrictRequest, tasks: Tasks, task_id: FromPath[int], data: JSONBody[TaskUpdate]
    ) -> JSONResponse[Task]:
        """Do the same as PATCH: partial, because existing frontends send parts with PUT."""
        return await _changed(request, tasks, task_id, data)

    @patch("/{task_id:str}/complete", **_write("completeTask", "Complete or reopen a task", **COMPLETE))
    async def complete(
        self, request: StrictRequest, tasks: Tasks, task_id: FromPath[int], data: JSONBody[Completion | None] = None
    ) -> JSONResponse[Task]:
        """Without a body, or with `{}`, flip it; with `completed`, set it."""
        completed = (data.given() if data else {}).get("completed")
        return _task(await tasks.complete(request.user.id, task_id, completed, if_match(request.scope)))

    @delete(
        "/{task_id:str}",
        middleware=[NamesATask()],
        operation_id="deleteTask",
        summary="Delete a task",
        responses=problems(404, 412),
        operation_class=operation(success="The task is gone", parameters=[IF_MATCH]),
    )
    async def remove(self, request: StrictRequest, tasks: Tasks, task_id: FromPath[int]) -> JSONResponse[None]:
        """Delete the task: to every later request it does not exist."""
        await tasks.remove(request.user.id, task_id, if_match(request.scope))
        return JSONResponse(None, status=204)


def _task(task: StoredTask) -> JSONResponse[Task]:
    return JSONResponse(task.body, headers={"ETag": etag(task.revision)})


async def _changed(request: StrictRequest, tasks: TaskRepository, task_id: int, data: TaskUpdate) -> JSONResponse[Task]:
    return _task(await tasks.change(request.user.id, task_id, data.given(), if_match(request.scope)))


def _next_page(request: StrictRequest, cursor: str) -> str:
    query_string = from_cursor(request.scope["query_string"], cursor)
    return f'<{request.scope["path"].rstrip("/")}?{query_string}>; rel="next"'
