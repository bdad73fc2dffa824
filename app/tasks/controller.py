from typing import Final

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.auth.caller import Caller
from app.http.answers import Headers, JSONResponse, address, nothing, packed, representation
from app.http.body import StrictRequest
from app.http.compression import accepted
from app.http.headers import if_match, if_none_match
from app.tasks import openapi
from app.tasks.key import new_uid, task_key, task_key_is_possible
from app.tasks.query import from_cursor, parse
from app.tasks.repository import TaskStore
from app.tasks.schemas import Completion, Task, TaskCreate, TaskUpdate

Request = StrictRequest[Caller]
Tasks = NamedDependency[TaskStore]
REPLAYED: Final = (b"idempotent-replayed", b"true")


class TaskController(Controller):
    """The caller's tasks."""

    path = "/api/{user_id:str}/tasks"
    tags = ["tasks"]  # noqa: RUF012 - Litestar reads it from the class

    @get(**openapi.LIST)
    async def list_tasks(self, request: Request, tasks: Tasks) -> JSONResponse[list[Task]]:
        """One page of the user's tasks, newest first unless asked otherwise. Names without meaning are ignored."""
        query = parse(request.scope["query_string"])
        known = if_none_match(request.scope)
        page = await tasks.page(request.user.id, query, known or (), accepted(request.scope))
        headers: Headers = []
        if page.next_cursor is not None:
            following = from_cursor(request.scope["query_string"], page.next_cursor)
            headers.append((b"link", f'<{address(request.scope)}?{following}>; rel="next"'.encode("latin-1")))
        return packed(request.scope, page.revision, page.body, coding=page.coding, known=known, headers=headers)

    @post(**openapi.CREATE)
    async def create(self, request: Request, tasks: Tasks, data: JSONBody[TaskCreate]) -> JSONResponse[Task]:
        """Only the title is required. Unknown fields are ignored.

        With an `Idempotency-Key`, or a `uid`, which say the same in two places, it can be sent again: once the task is
        there, the answer is that task as it is now, and nothing is written.
        """
        uid = new_uid(request.scope, data.uid)
        if uid is None:
            task = await tasks.create(request.user.id, data.present())
        else:
            task = await tasks.create_once(request.user.id, uid, data.present())
        headers: Headers = [(b"location", f"{address(request.scope)}/{task.id}".encode("latin-1"))]
        if task.replayed:
            headers.append(REPLAYED)
        return representation(task.revision, task.body, status=201, headers=headers)

    @get("/{task_id:str}", guards=[task_key_is_possible], **openapi.READ)
    async def read(self, request: Request, tasks: Tasks, task_id: FromPath[str]) -> JSONResponse[Task]:
        """One task, unless `If-None-Match` names its revision."""
        known = if_none_match(request.scope)
        task = await tasks.read(request.user.id, task_key(task_id), known or ())
        return representation(task.revision, None if known is None else task.body)

    @patch("/{task_id:str}", guards=[task_key_is_possible], **openapi.UPDATE)
    async def update(
        self, request: Request, tasks: Tasks, task_id: FromPath[str], data: JSONBody[TaskUpdate]
    ) -> JSONResponse[Task]:
        """Change the fields given: an absent one stays as it is, null clears one that can be empty."""
        task = await tasks.update(request.user.id, task_key(task_id), data.present(), if_match(request.scope))
        return representation(task.revision, task.body)

    @put("/{task_id:str}", guards=[task_key_is_possible], **openapi.PUT)
    async def put(
        self, request: Request, tasks: Tasks, task_id: FromPath[str], data: JSONBody[TaskUpdate]
    ) -> JSONResponse[Task]:
        """Do the same as PATCH, which new clients should use; this stays for frontends that send parts with PUT."""
        task = await tasks.update(request.user.id, task_key(task_id), data.present(), if_match(request.scope))
        return representation(task.revision, task.body)

    @patch("/{task_id:str}/complete", guards=[task_key_is_possible], **openapi.COMPLETE)
    async def complete(
        self, request: Request, tasks: Tasks, task_id: FromPath[str], data: JSONBody[Completion | None] = None
    ) -> JSONResponse[Task]:
        """Without a body, or with `{}`, flip it; with `completed`, set it."""
        completed = data.present().get("completed") if data else None
        task = await tasks.complete(request.user.id, task_key(task_id), completed, if_match(request.scope))
        return representation(task.revision, task.body)

    @delete("/{task_id:str}", guards=[task_key_is_possible], **openapi.DELETE)
    async def remove(self, request: Request, tasks: Tasks, task_id: FromPath[str]) -> JSONResponse[None]:
        """Delete the task: it does not exist any more, but can be restored."""
        await tasks.delete(request.user.id, task_key(task_id), if_match(request.scope))
        return nothing()

    @post("/{task_id:str}/restore", status_code=200, guards=[task_key_is_possible], **openapi.RESTORE)
    async def restore(self, request: Request, tasks: Tasks, task_id: FromPath[str]) -> JSONResponse[Task]:
        """Bring a deleted task back as it was. One that is not deleted is answered as it is, and nothing is written."""
        task = await tasks.restore(request.user.id, task_key(task_id), if_match(request.scope))
        return representation(task.revision, task.body)
