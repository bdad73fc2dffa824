import re
import subprocess
import sys

import pytest


def printed(module: str, *arguments: str) -> str:
    command = (sys.executable, "-m", f"tests.load.{module}", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("how", [("--metrics",), ("--traces", "0.5")], ids=" ".join)
def test_cost_of_being_watched_is_printed_for_every_kind_of_read(how: tuple[str, ...]) -> None:
    output = printed("own_code", *how, "--rounds", "1", "--requests", "50")
    kinds = re.findall(r"^([a-z][\w, -]+?) +\d+\.\d\d +\d+\.\d\d +-?\d+\.\d\d$", output, flags=re.MULTILINE)
    assert kinds == ["list, cached", "list, If-None-Match", "one task"]


def test_cost_of_our_own_code_is_printed_for_every_kind_of_read_and_profiled_on_demand() -> None:
    output = printed("own_code", "--rounds", "1", "--requests", "50", "--profile")
    kinds = re.findall(r"^(\S.*?) +[\d.]+ +[\d.]+$", output, flags=re.MULTILINE)
    assert kinds == [
        *("list, cached", "list, cold", "list, If-None-Match", "one task", "one task, no rate limits"),
        *("one task, If-None-Match", "list by another path", "a path of our own"),
    ]
    assert output.count("function calls") == len(kinds)


def test_cold_start_is_printed_whole_and_in_parts() -> None:
    output = printed("cold_start", "--rounds", "1")
    parts = re.findall(r"^ *(.+?):? +\d+ ms$", output, flags=re.MULTILINE)
    assert parts == ["litestar run, to the first answer", "interpreter", "import", "application", "first request"]


@pytest.mark.usefixtures("tools")
def test_endurance_prints_memory_as_requests_go_by_and_its_growth() -> None:
    output = printed("endurance", "--requests", "5000", "--step", "500")
    assert re.search(r"^ +0 +\d+\.\d$", output, flags=re.MULTILINE)
    assert len(re.findall(r"^ +[1-9]\d* +\d+\.\d$", output, flags=re.MULTILINE)) >= 2
    assert re.search(r"^Growth over the second half: -?\d+\.\d%$", output, flags=re.MULTILINE)


@pytest.mark.usefixtures("tools")
def test_the_cost_of_each_layer_is_printed() -> None:
    output = printed("layers", "--rounds", "1", "--seconds", "0.5")
    layers = re.findall(r"^(\S.*?) +[\d.]+ +-?[\d.]+ +[\d.]+$", output, flags=re.MULTILINE)
    assert layers[0] == "uvicorn"
    assert len(layers) == 8


def test_growth_prints_what_lists_and_changes_cost_by_the_size_of_the_table_and_of_the_user() -> None:
    output = printed("growth", "--tasks", "20_000", "--big", "1_000", "--rounds", "1", "--seconds", "0.01")
    shapes = (
        *("nothing new", "one change", "50 changes", "50, beyond the log"),
        *("first page of a copy", "first page of a copy, of 5,000"),
    )
    for way, tasks in (("statement", "50"), ("statement", "1,000"), ("request", "50"), ("request", "1,000")):
        for shape in shapes:
            assert re.search(rf"^{way}, {tasks}: {shape} +\d+\.\d+ +1\.00$", output, flags=re.MULTILINE), output
    assert len(re.findall(r"^request, .*by cursor +\d+\.\d+", output, flags=re.MULTILINE)) == 12
    assert output.count("(bound 20: ") == 8


def test_live_updates_print_how_late_they_are_what_they_cost_and_that_nothing_is_missed() -> None:
    few = {"writes": 3, "streams": 20, "writers": 3, "idle": 50, "rounds": 1, "seconds": 0.5, "kills": 1, "silence": 2}
    output = printed("live", *(f"--{name}={number}" for name, number in few.items()))
    delays = re.findall(r"^(\w.*?) +\d+\.\d +\d+\.\d$", output, flags=re.MULTILINE)
    assert delays == ["same worker", "other host, Redis", "other worker of one host", "other host, database"]
    crowd = r"^(Redis|database): 3 writers, 20 streams: \d+ writes, \d+ events, none missed$"
    assert re.findall(crowd, output, re.MULTILINE) == ["Redis", "database"]
    assert re.search(r"^memory, 50 each: -?\d+\.\d KiB a connection, -?\d+\.\d more a stream$", output, re.MULTILINE)
    assert re.search(
        r"^20 idle streams: \d statements in 2 s, \d in a tenth of it after a write$", output, re.MULTILINE
    )
    assert re.search(r"^reads/s: \d+, beside 50 streams \d+: \d+%$", output, re.MULTILINE)
    assert re.search(r"^kills: 1 \(\{'(?:worker|redis)': 1\}\), nothing missed$", output, re.MULTILINE)
