"""The process that `cold_start` takes the time of: it prints the milliseconds that passed until it was running, had
imported the application, had built it, and had answered one list without a server. Its argument is the moment on the
system's monotonic clock at which it was started; until the import it must not load anything of ours.
"""

import asyncio
import json
import os
import sys
import time
from itertools import pairwise
from typing import Any


async def answer_a_list(app: Any) -> None:
    authorization = f"Bearer {os.environ['TOKEN']}".encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/me/tasks",
        "raw_path": b"/api/me/tasks",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", authorization)],
        "client": None,
        "server": None,
        "state": {},
    }
    statuses = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    async with app.lifespan():
        await app(scope, receive, send)
    assert statuses[0] == 200


def main(started: float) -> None:
    moments = [started, time.monotonic()]
    from app.asgi import create_app  # noqa: PLC0415 - importing it is what is measured

    moments.append(time.monotonic())
    app = create_app()
    moments.append(time.monotonic())
    asyncio.run(answer_a_list(app))
    moments.append(time.monotonic())
    sys.stdout.write(f"{json.dumps([(end - start) * 1000 for start, end in pairwise(moments)])}\n")


if __name__ == "__main__":
    main(float(sys.argv[1]))
