import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.load.bench.contenders import OURS, OURS_COLD, PEERS
from tests.load.bench.environment import PYTHON
from tests.load.bench.results import Results
from tests.load.bench.work import WORK

CONTENDERS = {OURS, OURS_COLD, *(peer.key for peer in PEERS)}


def bench(kept: Path, *options: str) -> tuple[str, Path]:
    """What the benchmark prints in its shortest form, and the file with its results."""
    command = (sys.executable, "-m", "tests.load.bench", "--rounds", "1", "--seconds", "0.1", "--json", kept)
    done = subprocess.run((*command, *options), capture_output=True, text=True, check=False)
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
    lists = {work.key for work in WORK if work.is_list}
    assert measured == {(work.key, key) for work in WORK for key in CONTENDERS if key != OURS_COLD or work.key in lists}
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
    named = (results.machine["processor"], *results.contenders.values(), *results.work.values())
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


def test_without_wrk_it_ends_with_one_sentence() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "tests.load.bench"), env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "Error: wrk is not installed; it makes the load (apt-get install wrk).\n"
