"""Several worker processes as uvicorn runs them, but one that is killed is replaced at once, whenever that happens."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess


class Workers(Multiprocess):
    """uvicorn's supervisor, which also hears of a worker's end while it waits for that worker's answer.

    uvicorn 0.54 keeps the worker's end of their pipe open in the parent too: the pipe outlives the worker, and the
    parent waits for an answer until `timeout_worker_healthcheck` is over. A machine that runs out of memory makes
    workers slow and kills them, so the two come together.
    """

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            process.child_conn.close()  # the worker has its own by now; to close it again does nothing
        super().keep_subprocess_alive()


def run(app: str, **options: Any) -> None:
    """Serve until SIGINT or SIGTERM; `options` are those of `uvicorn.run`, with at least two workers."""
    config = uvicorn.Config(app, **options)
    try:
        with suppress(KeyboardInterrupt):  # before the supervisor listens to signals
            Workers(config, sockets=[config.bind_socket()]).run()
    finally:
        if config.uds:
            Path(config.uds).unlink(missing_ok=True)
