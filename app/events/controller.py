from typing import Final

from litestar import Controller, get
from litestar.di import NamedDependency

from app.auth.caller import Caller
from app.events import openapi
from app.events.hub import Hub
from app.events.response import MEDIA_TYPE, StreamAnswer
from app.events.stream import EventStream
from app.http.answers import EndlessResponse
from app.http.body import StrictRequest

ROUTE: Final = "/api/{user_id}/events"
"""As logs and metrics have it."""


class EventsController(Controller):
    """The caller's changes as they happen."""

    path = ROUTE.replace("user_id", "user_id:str")
    tags = ["tasks"]  # noqa: RUF012 - Litestar reads it from the class

    @get(media_type=MEDIA_TYPE, **openapi.EVENTS)
    async def stream(self, request: StrictRequest[Caller], hub: NamedDependency[Hub]) -> EndlessResponse[str]:
        """Send the user's revision, as a server-sent event, whenever it has moved on.

        It is a hint to ask what changed. Do not wait for one at the start: connect, then pull once.
        """
        hub.admit(request.user.id)
        return EndlessResponse(StreamAnswer(hub, EventStream(request.user.id, request.user.expires)))
