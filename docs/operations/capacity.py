"""Computes what a number of daily users needs, from inputs that anybody can replace, and prints it as Markdown.

python docs/operations/capacity.py 1000 100000 --requests 40 --price-compute 0.2
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

SECONDS = 86_400
HOURS = 730
DAYS = HOURS / 24
"""Of a month."""
GB = 1e9
SMALLEST = 0.25
"""Compute unit."""


def _given(default: float, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is believed of users, costs and prices; docs/capacity.md says where the defaults come from."""

    requests: float = _given(60, "requests of a daily user in a day")
    unchanged: float = _given(0.7, "share of them that find their list unchanged, or are 304")
    writes: float = _given(0.1, "share of them that write; the rest read a list of 50 anew")
    peak: float = _given(5, "busiest second, as a multiple of the average one")
    registered: float = _given(5, "registered users for one daily user")
    tasks: float = _given(50, "tasks of a registered user, deleted ones included")
    app_unchanged: float = _given(152, "µs of the application for a list that is unchanged")
    app_read: float = _given(197, "µs of the application for a list that is read")
    app_write: float = _given(250, "µs of the application for a write")
    database_unchanged: float = _given(13, "µs of PostgreSQL for a list that is unchanged")
    database_read: float = _given(217, "µs of PostgreSQL for a list that is read")
    database_write: float = _given(196, "µs of PostgreSQL for a write")
    database_factor: float = _given(2, "how much dearer PostgreSQL is over TLS and a network than it was when measured")
    busy: float = _given(0.5, "share of a processor that may be in use in the busiest second")
    machine: float = _given(4, "workers of a machine: its processors")
    spare: float = _given(1, "machines that may be missing")
    pool: float = _given(10, "connections of a worker, DATABASE_POOL_SIZE")
    task_bytes: float = _given(436, "bytes of a task on disk, with its entries in the indexes")
    user_bytes: float = _given(293, "bytes of a user on disk, with the entry in the index")
    wal_bytes: float = _given(14_500, "bytes of WAL for a write, images of pages included")
    read_bytes: float = _given(18_000, "bytes that the database sends for a list of 50")
    other_bytes: float = _given(400, "bytes that it sends for any other request")
    cached: float = _given(0.2, "share of tables and indexes that has to be in memory")
    unit_memory: float = _given(3, "GB of a compute unit's 4 that hold data")
    largest: float = _given(56, "compute units of the largest primary")
    largest_storage: float = _given(16_000, "GB that a primary may store")
    history: float = _given(7, "days of history to restore from")
    autoscaled: float = _given(16, "compute units up to which they follow the load, and the cheaper plan goes")
    price_compute: float = _given(0.106, "$ for an hour of a compute unit")
    price_large: float = _given(0.222, "$ for the same beyond that")
    price_storage: float = _given(0.35, "$ for a GB stored for a month")
    price_history: float = _given(0.20, "$ for a GB of history kept for a month")
    price_transfer: float = _given(0.10, "$ for a GB sent")
    free_transfer: float = _given(100, "GB sent in a month that cost nothing")

    @property
    def reads(self) -> float:
        return 1 - self.unchanged - self.writes

    def mean(self, unchanged: float, read: float, write: float) -> float:
        return self.unchanged * unchanged + self.reads * read + self.writes * write


@dataclass(frozen=True)
class Needs:
    """What a number of daily users needs."""

    peak: float  # requests in the busiest second
    workers: int
    machines: int
    connections: int
    processor: float  # compute units for the busiest second
    memory: float  # compute units that hold in memory what has to be there
    primaries: int
    compute: float  # compute units of each primary
    storage: float  # GB
    wal: float  # GB a day
    transfer: float  # GB a month
    dollars: dict[str, float]  # a month, by what they pay for


def needs(daily: float, inputs: Inputs) -> Needs:
    """Reckon with the busiest second for what has to be there, and with the average for what is billed."""
    average = daily * inputs.requests / SECONDS
    peak = average * inputs.peak
    application = inputs.mean(inputs.app_unchanged, inputs.app_read, inputs.app_write) / 1e6
    database = inputs.mean(inputs.database_unchanged, inputs.database_read, inputs.database_write) / 1e6
    workers = max(1, math.ceil(peak * application / inputs.busy))
    spare = int(inputs.spare)
    storage = daily * inputs.registered * (inputs.tasks * inputs.task_bytes + inputs.user_bytes) / GB
    processor = peak * database * inputs.database_factor / inputs.busy
    memory = storage * inputs.cached / inputs.unit_memory
    wal = daily * inputs.requests * inputs.writes * inputs.wal_bytes / GB
    sent = inputs.mean(inputs.other_bytes, inputs.read_bytes, inputs.other_bytes)
    transfer = daily * inputs.requests * sent * DAYS / GB
    units = max(processor, memory)
    primaries = math.ceil(max(1, units / inputs.largest, storage / inputs.largest_storage))
    compute = size(units / primaries)
    fixed = compute > inputs.autoscaled
    in_use = primaries * compute if fixed else max(SMALLEST * primaries, processor / inputs.peak, memory)
    return Needs(
        peak=peak,
        workers=workers,
        machines=math.ceil(workers / inputs.machine) + spare,
        connections=(workers + spare * min(workers, int(inputs.machine))) * int(inputs.pool),
        processor=processor,
        memory=memory,
        primaries=primaries,
        compute=compute,
        storage=storage,
        wal=wal,
        transfer=transfer,
        dollars={
            "compute": in_use * HOURS * (inputs.price_large if fixed else inputs.price_compute),
            "storage": storage * inputs.price_storage,
            "history": wal * inputs.history * inputs.price_history,
            "transfer": max(0, transfer - inputs.free_transfer) * inputs.price_transfer,
        },
    )


def size(units: float) -> float:
    """Return the smallest compute that has so many units: a quarter, a half, or a whole number of them."""
    return next((small for small in (SMALLEST, 0.5) if units <= small), math.ceil(units))


def end_of_one_primary(inputs: Inputs) -> tuple[float, str]:
    """Return the daily users at which one primary is full, and of what."""
    one = needs(1, inputs)
    shares = {
        "processors": one.processor / inputs.largest,
        "memory": one.memory / inputs.largest,
        "storage": one.storage / inputs.largest_storage,
    }
    share, what = max((share, what) for what, share in shares.items())
    return (1 / share if share else math.inf), what


ROWS: Final[dict[str, Callable[[Needs], str]]] = {
    "requests in the busiest second": lambda one: f"{one.peak:,.0f}",
    "workers": lambda one: f"{one.workers}",
    "machines, spare ones included": lambda one: f"{one.machines}",
    "connections that they open": lambda one: f"{one.connections}",
    "compute units for processors": lambda one: f"{one.processor:.2g}",
    "compute units for memory": lambda one: f"{one.memory:.2g}",
    "primaries and their size": lambda one: f"{one.primaries} of {one.compute:g} CU",
    "stored, GB": lambda one: f"{one.storage:,.1f}",
    "WAL in a day, GB": lambda one: f"{one.wal:,.1f}",
    "sent by the database in a month, GB": lambda one: f"{one.transfer:,.0f}",
    "$ a month: compute": lambda one: f"{one.dollars['compute']:,.2f}",
    "$ a month: storage": lambda one: f"{one.dollars['storage']:,.2f}",
    "$ a month: history": lambda one: f"{one.dollars['history']:,.2f}",
    "$ a month: transfer": lambda one: f"{one.dollars['transfer']:,.2f}",
    "**$ a month**": lambda one: f"**{sum(one.dollars.values()):,.2f}**",
}


def report(daily: Sequence[int], inputs: Inputs) -> str:
    """Return a table with a column for each number of daily users, and a sentence."""
    lines = [f"| daily users | {' | '.join(f'{number:,}' for number in daily)} |", "|---" * (len(daily) + 1) + "|"]
    found = [needs(number, inputs) for number in daily]
    lines += [f"| {name} | {' | '.join(map(cell, found))} |" for name, cell in ROWS.items()]
    most, what = end_of_one_primary(inputs)
    end = f"One primary of {inputs.largest:g} CU ends at about {most / 1e6:,.2g} million daily users: {what}."
    return "\n".join([*lines, "", end])


def options() -> argparse.ArgumentParser:
    """Return a parser with an option for each input."""
    parser = argparse.ArgumentParser(description="What a number of daily users needs.")
    parser.add_argument("daily", nargs="*", type=int, default=[1_000, 100_000, 10_000_000], help="daily users")
    parser.add_argument("--inputs", action="store_true", help="print the inputs and what they mean")
    for one in fields(Inputs):
        flag = f"--{one.name.replace('_', '-')}"
        parser.add_argument(flag, type=float, default=one.default, help=one.metadata["meaning"])
    return parser


def _main() -> None:
    arguments = vars(options().parse_args())
    daily, asked = arguments.pop("daily"), arguments.pop("inputs")
    if not asked:
        print(report(daily, Inputs(**arguments)))
        return
    print("| Option | Default | Meaning |\n|---|---|---|")
    for one in fields(Inputs):
        print(f"| `--{one.name.replace('_', '-')}` | {arguments[one.name]:g} | {one.metadata['meaning']} |")


if __name__ == "__main__":
    _main()
