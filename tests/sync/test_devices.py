"""Any number of devices and any order of events: each copy ends as the server's list.

`uv run pytest -n 0 --hypothesis-profile=long tests/sync/test_devices.py` tries some thousand orders.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import httpx
import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from app.auth.mint import mint
from app.db.database import Database
from app.settings import Settings
from app.tasks.repository import TaskRepository
from tests.conftest import random_user
from tests.processes import Server
from tests.sync.devices import TASKS, Device

DEVICES: Final = 3
PATIENCE_SECONDS: Final = 60
"""On a machine that does other things as well."""

EVERYTHING: Final = timedelta(days=1)
devices = st.integers(0, DEVICES - 1)
titles = st.sampled_from(["milk", "bread", "call"])
places = st.integers(0, 5)
operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "patch", "delete"]),
        places,
        st.fixed_dictionaries({"title": titles}, optional={"completed": st.booleans()}),
        st.sampled_from(["", "by its id", "strict", "new"]),
    ),
    min_size=1,
    max_size=4,
)


class World(RuleBasedStateMachine):
    """One person with several devices, and another client of the same person that is always online."""

    url: ClassVar[str]
    settings: ClassVar[Settings]

    def __init__(self) -> None:
        super().__init__()
        self.user_id = random_user()
        headers = {"Authorization": f"Bearer {mint(self.settings, self.user_id, 3600)}"}
        clients = [httpx.Client(base_url=self.url, headers=headers, timeout=30) for _ in range(DEVICES + 1)]
        self.client = clients[DEVICES]
        self.clients = clients  # with a connection each, so that they meet different workers
        self.devices = [Device(clients[number], limit=1 + number) for number in range(DEVICES)]
        self.erased = False

    def teardown(self) -> None:
        for device in self.devices:
            device.send_all()
        for device in self.devices:
            device.pull()
        listed = {task["uid"]: task for task in self.client.get(TASKS).json()}
        for device in self.devices:
            assert device.rows == listed
        for client in self.clients:
            client.close()

    def row(self, device: Device, place: int) -> dict[str, Any] | None:
        """One of the tasks that the device has."""
        known = sorted(device.rows)
        return device.rows[known[place % len(known)]] if known else None

    @rule(number=devices, title=titles, in_body=st.booleans())
    def create(self, number: int, title: str, *, in_body: bool) -> None:
        self.devices[number].create(title, in_body=in_body)

    @rule(number=devices, place=places, title=titles, method=st.sampled_from(["PATCH", "PUT"]), strict=st.booleans())
    def edit(self, number: int, place: int, title: str, method: str, *, strict: bool) -> None:
        """With `strict` only if nobody else has changed the task."""
        if row := self.row(self.devices[number], place):
            guard = {"If_Match": f'"{row["revision"]}"'} if strict else {}
            self.devices[number].write(method, row["uid"], json={"title": title}, **guard)

    @rule(number=devices, place=places, body=st.sampled_from([{"completed": True}, {"completed": False}, None]))
    def complete(self, number: int, place: int, body: dict[str, bool] | None) -> None:
        """Without a body it is flipped, and may be flipped back when the request is repeated."""
        if row := self.row(self.devices[number], place):
            self.devices[number].write("PATCH", row["id"], "/complete", body)

    @rule(number=devices, place=places)
    def delete(self, number: int, place: int) -> None:
        if row := self.row(self.devices[number], place):
            self.devices[number].write("DELETE", row["uid"])

    @rule(number=devices, place=places)
    def restore(self, number: int, place: int) -> None:
        """Of a task that the device knew once, or has still."""
        if names := self.devices[number].names:
            self.devices[number].write("POST", names[place % len(names)], "/restore")

    @rule(number=devices, drawn=operations, atomic=st.booleans(), twice=st.booleans())
    def batch(
        self, number: int, drawn: list[tuple[str, int, dict[str, Any], str]], *, atomic: bool, twice: bool
    ) -> None:
        """It waits to be sent, or is sent at once, and again."""
        device = self.devices[number]
        batch: list[dict[str, Any]] = []
        for op, place, data, how in drawn:
            if how == "new" or not device.names:
                batch.append({"op": op, "uid": device.name(), "data": data})
                continue
            uid = device.names[-1 - place % len(device.names)]
            row = device.rows.get(uid, {"id": 2**60, "revision": 0})
            batch.append({"op": op, **({"id": row["id"]} if how == "by its id" else {"uid": uid}), "data": data})
            if how == "strict":
                batch[-1]["base"] = row["revision"]
        if twice:
            device.send_all()
        device.batch(batch, atomic=atomic)
        if twice:
            device.send_twice()

    @rule(number=devices, lost=st.booleans())
    def send(self, number: int, *, lost: bool) -> None:
        self.devices[number].send_one(lost=lost)

    @rule(number=devices)
    def send_twice(self, number: int) -> None:
        self.devices[number].send_twice()

    @rule(number=devices)
    def pull_a_page(self, number: int) -> None:
        self.devices[number].pull_page()

    @rule(number=devices)
    def pull(self, number: int) -> None:
        self.devices[number].pull()

    @rule(title=titles)
    def create_elsewhere_without_a_name(self, title: str) -> None:
        assert self.client.post(TASKS, json={"title": title}).status_code == 201

    @rule(place=places)
    def restore_elsewhere(self, place: int) -> None:
        deleted = self.client.get(TASKS, params={"status": "deleted"}).json()
        if deleted:
            uid = deleted[place % len(deleted)]["uid"]
            assert self.client.post(f"{TASKS}/{uid}/restore").status_code == 200

    @rule()
    def purge(self) -> None:
        async def remove() -> None:
            database = Database(replace(self.settings, database_timeout=PATIENCE_SECONDS))
            async with database.transaction(self.user_id) as session:
                await TaskRepository(session=session).purge(self.user_id, datetime.now(UTC) + EVERYTHING, 1000)
            await database.close()

        asyncio.run(remove())

    @precondition(lambda self: not self.erased)
    @rule()
    def erase(self) -> None:
        """Once: what waits on a device is written by a user who is new to the server."""
        self.erased = True
        assert self.client.delete("/api/me").status_code == 204

    @rule(many=st.booleans())
    def log_changes_or_do_not(self, *, many: bool) -> None:
        """As if the user had very many tasks, or had no longer."""

        async def count() -> None:
            database = Database(replace(self.settings, database_timeout=PATIENCE_SECONDS))
            async with database.transaction(self.user_id) as session:
                connection: Any = await session.connection()
                await connection.exec_driver_sql(
                    "UPDATE users SET tasks = $1 WHERE id = $2", (6000 * many, self.user_id)
                )
            await database.close()

        asyncio.run(count())


def test_every_copy_ends_as_the_list_of_the_server(server: Server, settings: Settings) -> None:
    World.url, World.settings = server.url, settings
    long = hypothesis.settings.get_current_profile_name() == "long"
    run_state_machine_as_test(
        World,
        settings=hypothesis.settings(
            max_examples=3000 if long else 12, stateful_step_count=30, deadline=None, print_blob=True
        ),
    )


def test_a_device_whose_copy_is_empty_begins_again_after_an_erasure(server: Server, settings: Settings) -> None:
    World.url, World.settings = server.url, settings
    world = World()
    world.create_elsewhere_without_a_name(title="milk")
    world.pull(number=0)
    world.delete(number=0, place=0)
    world.send(number=0, lost=False)
    world.pull(number=0)
    assert world.devices[0].rows == {}
    world.erase()
    world.create_elsewhere_without_a_name(title="bread")
    world.teardown()
