import asyncio
import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tests.load.bench import contenders, peers, plans, seed, wrk
from tests.load.bench.contenders import LOGS, OURS, OURS_COLD
from tests.load.bench.environment import PYTHON, ROOT
from tests.load.bench.peers import FLOOR, PEERS
from tests.load.bench.results import Results
from tests.load.bench.work import WORK
from tests.load.test_pictures import sizes_of_text
from tests.processes import copied_project

EVERYWHERE = {OURS, *(peer.key for peer in PEERS)}
IN_PART = {OURS_COLD: {"list", "filtered"}, FLOOR.key: {"list", "list-304", "one"}}


def bench(kept: Path, *options: str) -> tuple[str, Path]:
    """What the benchmark prints in its shortest form, and the file with its results.

    With more connections, FastAPI's 40 threads may all wait for the pool of 10 when one measurement follows another so
    soon, while those who have its connections wait for a thread to write their answers.
    """
    shortest = ("--rounds", "1", "--seconds", "0.1", "--connections", "8", "--json", str(kept))
    done = subprocess.run(
        (sys.executable, "-m", "tests.load.bench", *shortest, *options), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, kept


@pytest.fixture(scope="module")
def run(tools: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:  # noqa: ARG001 - have to be there
    """Every contender at every work item."""
    return bench(tmp_path_factory.mktemp("bench") / "results.json")


@pytest.fixture(scope="module")
def results(run: tuple[str, Path]) -> Results:
    return msgspec.json.decode(run[1].read_bytes(), type=Results)


def test_every_contender_answers_every_work_item_rightly(results: Results) -> None:
    measured = {(cell.work, cell.contender) for cell in results.cells}
    assert measured == {
        *((work.key, key) for work in WORK for key in EVERYWHERE),
        *((work, key) for key, works in IN_PART.items() for work in works),
    }
    assert not [cell.error for cell in results.cells if cell.error]


def test_every_cell_counts_requests_time_processor_and_memory(results: Results) -> None:
    for cell in results.cells:
        assert cell.requests > 0
        assert cell.throughput > 0
        assert 0 < cell.p50 <= cell.p99
        assert cell.application_cpu + cell.postgresql_cpu > 0
        assert cell.resident > 1


def test_ours_is_compared_with_everybody_else_at_everything(results: Results) -> None:
    compared = {(ratio.work, ratio.against) for ratio in results.ratios if ratio.contender == OURS}
    assert compared == {(cell.work, cell.contender) for cell in results.cells} - {(work.key, OURS) for work in WORK}


def test_the_report_names_machine_contenders_and_work(run: tuple[str, Path], results: Results) -> None:
    printed, _ = run
    named = [
        results.machine["processor"],
        *results.contenders.values(),
        *results.work.values(),
        *results.notes.values(),
    ]
    assert not [name for name in named if name not in printed]


def test_the_results_can_be_drawn(run: tuple[str, Path], tmp_path: Path) -> None:
    picture = tmp_path / "results.svg"
    subprocess.run((PYTHON, "-m", "tests.load.bench.plot", run[1], picture), check=True)
    drawn = picture.read_text()
    assert drawn.startswith("<?xml")
    assert drawn.rstrip().endswith("</svg>")


@pytest.mark.usefixtures("tools")
def test_latency_workers_contenders_and_work_can_be_chosen(tmp_path: Path) -> None:
    chosen = ("--workers", "2", "--only", "ours-2", "--only", "bare-json", "--only-work", "one")
    _, kept = bench(tmp_path / "results.json", *chosen, "--added-latency", "20")
    cells = msgspec.json.decode(kept.read_bytes(), type=Results).cells
    assert {(cell.work, cell.contender, cell.error) for cell in cells} == {
        ("one", "ours-2", None),
        ("one", "bare-json", None),
    }
    assert all(cell.p50 >= 20 for cell in cells)


@pytest.mark.usefixtures("tools")
def test_open_load_asks_for_shares_of_what_each_contender_answers(tmp_path: Path) -> None:
    chosen = ("--only", "ours", "--only", "go", "--only", "floor", "--only-work", "one", "--only-work", "churn")
    picture = tmp_path / "results.svg"
    printed, kept = bench(
        tmp_path / "results.json", *chosen, "--open-load", "--open-seconds", "0.1", "--plot", str(picture)
    )
    results = msgspec.json.decode(kept.read_bytes(), type=Results)
    most = {one.contender: one.throughput for one in results.summaries if (one.work, one.percent) == ("one", None)}
    under = [cell for cell in results.cells if cell.percent is not None]
    assert {(cell.work, cell.contender, cell.percent, cell.error) for cell in under} == {
        ("one", contender, percent, None) for contender in ("ours", "go", "floor") for percent in (25, 50, 75, 90)
    }
    for cell in under:
        assert cell.percent is not None
        assert cell.rate == pytest.approx(most[cell.contender] * cell.percent / 100)
        assert 0 < cell.p50 <= cell.p99
    assert printed.count("req/s due") == 3
    for drawn in (picture, tmp_path / "results-latency.svg"):
        assert min(sizes_of_text(drawn.read_text())) >= 11


@pytest.mark.usefixtures("tools")
def test_another_checkout_is_measured_beside_this_one(tmp_path: Path) -> None:
    with copied_project() as checkout:
        module = checkout / "app" / "asgi.py"
        module.write_text(module.read_text() + '\nprint("from the other checkout")\n')
        chosen = ("--before", str(checkout), "--only", "ours", "--only", "before", "--only-work", "list-304")
        _, kept = bench(tmp_path / "results.json", *chosen)
    results = msgspec.json.decode(kept.read_bytes(), type=Results)
    assert not [cell.error for cell in results.cells if cell.error]
    assert [(one.contender, one.against) for one in results.ratios] == [("ours", "before")]
    assert "from the other checkout" in (LOGS / "before.log").read_text()


def test_an_older_checkout_takes_part_in_what_it_has(tmp_path: Path) -> None:
    older, newer = contenders.before(tmp_path), contenders.before(ROOT)
    taken = [[work.key for work in WORK if each.takes_part(work.key)] for each in (older, newer)]
    assert taken[1] == [work.key for work in WORK]
    assert [key for key in taken[1] if key not in taken[0]] == ["changes-none", "changes-one", "create-key"]
    assert (older.answers_uid, newer.answers_uid) == (False, True)


@pytest.mark.usefixtures("tools")
async def test_creates_with_keys_have_one_each_that_no_other_request_has(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                seen.append(
                    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]))
                )
                keys.append(head.partition(b"Idempotency-Key: ")[2].partition(b"\r")[0])
                writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    keys: list[bytes] = []
    user = seed.User("somebody", "token", range(1))
    plan = tmp_path / "plan"
    plan.write_text(plans.text(plans.creations(plans.Data([], [user], []))))
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(2):
            load = await wrk.run(url, "keys.lua", plan, seconds=0.1, connections=2)
            assert load.errors == {}
    assert {json.loads(body)["title"] for body in seen} == {plans.NEW_TASK["title"]}
    assert len(keys) == len(set(keys)) > 2
    assert not [key for key in keys if not re.fullmatch(rb"[0-9a-f]{16}-[0-9]+", key)]


def test_a_peer_that_cannot_be_installed_is_left_out_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    chosen = peers.available((1,), None, ("ours", "go", "fastify"))
    assert [contender.key for contender in chosen] == ["ours"]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Fastify + postgres.js: left out, node or npm is not installed."
    assert said[1].startswith("Go, gin + pgx: left out, go is not installed (apt-get install golang-go ")


def test_without_wrk_it_ends_with_one_sentence() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "tests.load.bench"), env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "Error: wrk is not installed; it makes the load (apt-get install wrk).\n"
