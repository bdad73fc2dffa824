"""Makes the picture of the dashboard: two workers, a Prometheus, three minutes of a little load, and half a minute of
it without a database. `python -m tests.operations.picture` writes docs/dashboard.svg.
"""

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import yaml  # type: ignore[import-untyped]

from app.auth.mint import mint
from app.development import postgres
from tests.conftest import random_user
from tests.documents.blocks import the_block
from tests.faults.cluster import Cluster
from tests.load.bench import environment
from tests.metrics.conftest import Watched, watched
from tests.processes import ROOT, copied_project, free_port, until

PICTURE: Final = ROOT / "docs" / "dashboard.svg"
SECONDS: Final = 180
AWAY: Final = range(80, 110)
"""Seconds of the run in which there is no database."""

USERS: Final = 12
PACE: Final = 1.5
"""Requests per second of each user."""


async def load(service: Watched, cluster: Cluster) -> None:
    """Let every user send requests at random moments, and take the database away for a while."""
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=service.server.url, timeout=30) as client, asyncio.TaskGroup() as tasks:
        for _ in range(USERS):
            token = mint(service.settings, random_user(), 3600)
            tasks.create_task(user(client, {"Authorization": f"Bearer {token}"}, began + SECONDS))
        expired = {"Authorization": f"Bearer {mint(service.settings, random_user(), -60)}"}
        tasks.create_task(user(client, expired, began + SECONDS / 3))
        await asyncio.sleep(AWAY.start)
        await cluster.stop()
        await asyncio.sleep(len(AWAY))
        await cluster.start()


async def user(client: httpx.AsyncClient, headers: dict[str, str], until_: float) -> None:
    ids: list[int] = []
    while time.monotonic() < until_:
        await asyncio.sleep(random.expovariate(PACE))
        match random.choices(("list", "read", "create", "complete", "wrong"), (50, 15, 15, 15, 5))[0]:  # noqa: S311 - a load
            case "create":
                answer = await client.post("/api/me/tasks", headers=headers, json={"title": "Buy milk"})
                ids += [answer.json()["id"]] if answer.status_code == 201 else []
            case "read" if ids:
                await client.get(f"/api/me/tasks/{random.choice(ids)}", headers=headers)  # noqa: S311
            case "complete" if ids:
                await client.patch(f"/api/me/tasks/{random.choice(ids)}/complete", headers=headers)  # noqa: S311
            case "wrong":
                await client.post("/api/me/tasks", headers=headers, json={"title": ""})
            case _:
                await client.get("/api/me/tasks", headers=headers)


@contextmanager
def prometheus(port: int, folder: Path) -> Iterator[str]:
    """Run one with the documented configuration, but at this port and every five seconds."""
    settings = yaml.safe_load(the_block("docs/operations.md", "yaml", "scrape_configs"))
    [job] = settings["scrape_configs"]
    job |= {"scrape_interval": "5s", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    settings |= {"rule_files": [str(ROOT / "docs" / "operations" / "alerts.yml")]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    own = free_port()
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]
    with subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{own}"], cwd=folder) as process:
        try:
            until(lambda: ready(f"http://127.0.0.1:{own}/-/ready"), 60)
            yield f"http://127.0.0.1:{own}"
        finally:
            process.terminate()


def ready(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.ConnectError:
        return False


def main() -> None:
    environment.install()
    with (
        copied_project() as project,
        postgres.running(project / ".dev") as url,
        copied_project() as folder,
        tempfile.TemporaryDirectory() as data,
    ):
        cluster = Cluster(url, project / ".dev" / "postgres")
        service = watched(folder, cluster.database(), workers=2)
        with prometheus(service.port, Path(data)) as address:
            asyncio.run(load(service, cluster))
            script = ROOT / "docs" / "operations" / "dashboard_chart.py"
            subprocess.run([environment.PYTHON, script, address, str(SECONDS), PICTURE], check=True)
            firing = httpx.get(f"{address}/api/v1/alerts").json()["data"]["alerts"]
            sys.stderr.write(f"alerts: {sorted({one['labels']['alertname'] for one in firing})}\n")


if __name__ == "__main__":
    main()
