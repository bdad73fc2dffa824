from litestar import Controller, get
from litestar.di import NamedDependency

from app.auth.caller import Caller
from app.http.answers import JSONResponse, address, packed
from app.http.body import StrictRequest
from app.http.compression import accepted
from app.http.headers import if_none_match
from app.tasks.changes import openapi
from app.tasks.changes.feed import ChangeFeed
from app.tasks.changes.schemas import ChangeList
from app.tasks.changes.since import parse


class ChangesController(Controller):
    """What changed of the caller's tasks."""

    path = "/api/{user_id:str}/tasks/changes"
    tags = ["tasks"]  # noqa: RUF012 - Litestar reads it from the class

    @get(**openapi.CHANGES)
    async def list_changes(
        self, request: StrictRequest[Caller], changes: NamedDependency[ChangeFeed]
    ) -> JSONResponse[ChangeList]:
        """Every task written after `since`, deleted ones included. Follow `next`, then go on from `revision`.

        Names without meaning are ignored. Applied in order, the pages turn a copy at `since` into the user's tasks,
        whatever was written meanwhile.
        """
        asked = parse(request.scope["query_string"])
        known = if_none_match(request.scope)
        own = address(request.scope)
        page = await changes.page(request.user.id, asked, own, known or (), accepted(request.scope))
        return packed(request.scope, page.revision, page.body, coding=page.coding, known=known)
