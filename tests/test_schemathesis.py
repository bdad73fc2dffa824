import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.auth.mint import mint
from app.settings import Settings
from tests import schemathesis_checks
from tests.conftest import random_user
from tests.processes import ROOT
from tests.servers import serving

CASES: Final = 2_000

CONFIGURATION: Final = """
[phases.stateful.generation]
max-examples = 30

[auth.openapi.bearerAuth]
bearer = "${TOKEN}"

# What these two allow, or would not allow, tests/schemathesis_checks.py looks at.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 400, 404, 409, 410, 412, 422]  # tasks that are gone, or changed; 400: keys of digits

[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 409, 410, 412, 413, 415, 422]

[[operations]]
include-operation-id = "completeTask"
phases.coverage.unexpected-methods = ["delete", "get", "options", "query", "trace"]  # post, put: as patch
"""


def document(address: str) -> Any:
    """The document as it is served, with the token's own user in the paths: every other one is rightly 403."""
    document = httpx.get(f"{address}/openapi.json").raise_for_status().json()
    for path, item in list(document["paths"].items()):
        document["paths"][path.replace("{user_id}", "me")] = document["paths"].pop(path)
        for operation in item.values():
            operation["parameters"] = [each for each in operation.get("parameters", []) if each["name"] != "user_id"]
    return document


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[str]:
    with serving(settings) as address:
        yield address


@pytest.fixture
def run(settings: Settings, address: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run every check in every phase, and return schemathesis's report."""

    def run(*selection: str, examples: int) -> dict[str, Any]:
        (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
        (tmp_path / "openapi.json").write_text(json.dumps(document(address)))
        finished = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                "run",
                "openapi.json",
                f"--url={address}",
                *selection,
                "--checks=all",
                "--exclude-checks=negative_data_rejection",
                "--phases=examples,coverage,fuzzing,stateful",
                f"--max-examples={examples}",
                "--workers=1",
                "--continue-on-failure",
                "--no-color",
                "--generation-deterministic",
                "--report=json",
                "--report-json-path=report.json",
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "COLUMNS": "120",
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": schemathesis_checks.__name__,
                "TOKEN": mint(settings, random_user(), 3600),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
        assert report["complete"]
        assert (report["failures"], report["errors"]) == ([], [])
        assert report["operations"]["tested"] == report["operations"]["selected"]
        return report

    return run


def test_no_generated_case_finds_a_difference(run: Callable[..., dict[str, Any]]) -> None:
    report = run("--exclude-operation-id=eraseAccount", "--exclude-operation-id=streamEvents", examples=100)
    assert report["test_cases"]["generated"] >= CASES
    assert (
        report["operations"]["tested"] == report["operations"]["total"] - 2
    )  # the other one has answers without an end
    assert {phase["status"] for phase in report["phases"].values()} == {"success"}
    assert not any(report["warnings"].values()), report["warnings"]  # such as: no case reached an existing task


def test_no_generated_case_finds_a_difference_in_erasure(run: Callable[..., dict[str, Any]]) -> None:
    """By itself, because it takes away what the other operations work on."""
    report = run("--include-operation-id=eraseAccount", examples=10)
    assert report["operations"]["tested"] == 1
    assert report["phases"]["fuzzing"]["status"] == "success"


def test_the_document_has_the_words_on_which_the_checks_rely(address: str) -> None:
    text = httpx.get(f"{address}/openapi.json").text
    rules = [rule.words for rule in schemathesis_checks.REFUSED]
    forms = [words for words, _ in schemathesis_checks.ACCEPTED.values()]
    headers = schemathesis_checks.IGNORED.values()
    assert [words for words in [*rules, *forms, *headers, schemathesis_checks.UNKNOWN] if words not in text] == []
