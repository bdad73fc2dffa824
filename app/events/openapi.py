"""What the documentation says of the stream of events."""

from typing import Final

from app.events.errors import StreamsFull, TooManyStreams
from app.http.openapi import operation
from app.tasks.openapi import EVERY_ROUTE, TASK, USER_ID

EXAMPLE: Final = f'retry: 3120\n\nid: {TASK["revision"]}\ndata: {{"revision": {TASK["revision"]}}}\n\n:\n\n'
EVENTS: Final = operation(
    "streamEvents",
    "Live updates",
    success="Events, for as long as the token is valid",
    example=EXAMPLE,
    parameters=[USER_ID],
    problems=[*EVERY_ROUTE, TooManyStreams, StreamsFull],
)
