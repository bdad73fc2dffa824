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
from tests.conftest import random_user
from tests.servers import serving

CASES: Final = 2_000

CONFIGURATION: Final = """
[phases.stateful.generation]
max-examples = 30

[auth.openapi.bearerAuth]
bearer = "${TOKEN}"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 404, 412]  # free text in If-None-Match and If-Match, and ids of tasks that are gone

[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 412, 413, 415, 422]

[[operations]]
include-operation-id = "completeTask"
phases.coverage.unexpected-methods = ["delete", "get", "options", "query", "trace"]  # post, put: as patch
"""


TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]"
MOMENT: Final = (
    r"^(19[1-9]|2[0-8][0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    rf"([Tt ]{TIME}(:[0-5][0-9](\.[0-9]{{1,9}})?)?([Zz]|[+-]{TIME})?)?$"
)
"""What is accepted as a moment, but for days that not every month has and years that an offset leads out of."""

IN_TEXT: Final = r"[^,\x00]{0,50}"
IN_JSON: Final = r'"([^"\\\x00-\x1f]|\\["\\/bfnrt]){1,50}"'
TAGS: Final = rf"^((?!\s*\[){IN_TEXT}(,{IN_TEXT}){{0,19}}|\[({IN_JSON}(,{IN_JSON}){{0,19}})?\])$"
"""What is accepted as a text of tags. The document says both in words."""


def document(address: str) -> Any:
    """The document, less what is nobody's to make up, and with what JSON Schema cannot say."""
    document = httpx.get(f"{address}/openapi.json").raise_for_status().json()
    for path, item in list(document["paths"].items()):
        # Every user but the token's own is rightly 403, so cases of other users would show nothing.
        document["paths"][path.replace("{user_id}", "me")] = document["paths"].pop(path)
        for operation in item.values():
            # A cursor is what the service has made up; nobody else can, and the paging tests follow real ones.
            operation["parameters"] = [
                parameter
                for parameter in operation.get("parameters", [])
                if parameter["name"] not in {"user_id", "cursor"}
            ]
    schemas = document["components"]["schemas"]
    for node in nodes([document["paths"], schemas["TaskCreate"], schemas["TaskUpdate"]]):
        if node.get("format") == "date-time":
            node["pattern"] = MOMENT
            del node["format"]
        elif node.get("description") == "Comma-separated, or a JSON array of strings.":
            node["pattern"] = TAGS
    return document


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in a part of the document."""
    if isinstance(node, dict):
        yield node
    for member in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(member)


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
            env={**os.environ, "COLUMNS": "120", "TOKEN": mint(settings, random_user(), 3600)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
        assert report["complete"]
        assert (report["failures"], report["errors"]) == ([], [])
        assert report["operations"]["tested"] == report["operations"]["selected"]
        return report

    return run


def test_no_generated_case_finds_a_difference(run: Callable[..., dict[str, Any]]) -> None:
    report = run("--exclude-operation-id=eraseAccount", examples=180)
    assert report["test_cases"]["generated"] >= CASES
    assert report["operations"]["tested"] == report["operations"]["total"] - 1
    assert {phase["status"] for phase in report["phases"].values()} == {"success"}
    assert not any(report["warnings"].values()), report["warnings"]  # such as: no case reached an existing task


def test_no_generated_case_finds_a_difference_in_erasure(run: Callable[..., dict[str, Any]]) -> None:
    """By itself, because it takes away what the other operations work on."""
    report = run("--include-operation-id=eraseAccount", examples=10)
    assert report["operations"]["tested"] == 1
    assert report["phases"]["fuzzing"]["status"] == "success"
