"""The rules for Prometheus fire when they should, and each alert has a section that says what to do."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from docs.operations import dashboard
from tests.documents.blocks import blocks
from tests.operations.promql import FOLDER, alerts, of_the_dashboard, of_the_page, queries
from tests.processes import ROOT
from tests.test_documentation import error_codes

PAGE = (ROOT / "docs" / "operations.md").read_text()
TESTS = [FOLDER / "alerts_test.yml", FOLDER / "alerts_days_test.yml"]
NAMES = list(dict.fromkeys(alert["alert"] for alert in alerts()))
NORMAL = {"shutting_down"}
"""Codes of 503 that a deployment brings along."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool on the PATH")


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sections() -> dict[str, str]:
    chapter = re.split(r"^## ", PAGE.partition("\n## Alerts\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    parts = re.split(r"^### (\w+)\n", chapter, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def cases() -> list[dict[str, Any]]:
    return [
        case for file in TESTS for test in yaml.safe_load(file.read_text())["tests"] for case in test["alert_rule_test"]
    ]


@needs_promtool
def test_documented_commands_accept_the_rules_and_their_tests_pass() -> None:
    commands = [line.split() for block in blocks("bash") for line in block.text.splitlines() if "promtool" in line]
    assert [command[1] for command in commands] == ["check", "test"]
    assert {str(ROOT / word) for word in commands[1][3:]} == {str(file) for file in TESTS}
    for command in commands:
        assert "SUCCESS" in promtool(*command[1:])


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert['alert']}, {alert['labels']['severity']}")
def test_alert_is_seen_to_fire_and_not_to_fire(alert: dict[str, Any]) -> None:
    severities = [
        {fired["exp_labels"]["severity"] for fired in case.get("exp_alerts", ())}
        for case in cases()
        if case["alertname"] == alert["alert"]
    ]
    severity = alert["labels"]["severity"]
    assert [True for found in severities if severity in found]
    assert [True for found in severities if severity not in found]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert['alert']}, {alert['labels']['severity']}")
def test_alert_says_what_it_is_about_and_where_to_go_on(alert: dict[str, Any]) -> None:
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert "for" in alert
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert list(sections()) == NAMES
    for name, section in sections().items():
        assert "What to do" in section, name
        assert f"  - [{name}](#{name.lower()})\n" in PAGE


def test_each_code_of_503_has_an_alert() -> None:
    expressions = " ".join(alert["expr"] for alert in alerts())
    counted = {"outcome_unknown": "tasks_database_outcome_unknown_total"}
    for status, code in error_codes():
        if status == 503 and code not in NORMAL:
            assert counted.get(code, f'code="{code}"') in expressions, code


def test_limit_of_memory_is_that_of_the_deployment() -> None:
    [alert] = [alert for alert in alerts() if alert["alert"] == "TasksWorkerMemory"]
    [limit] = re.findall(r"0\.85 \* (\d+) \* 1024 \* 1024", alert["expr"])
    manifest = (ROOT / "docs" / "deployment" / "kubernetes" / "api.yaml").read_text()
    assert f"limits: {{memory: {limit}Mi}}" in manifest
    assert f"{limit} MiB" in alert["annotations"]["description"]
    assert f"{limit} MiB" in sections()["TasksWorkerMemory"]


@needs_promtool
def test_queries_of_the_dashboard_and_of_the_runbooks_are_promql(tmp_path: Path) -> None:
    found = of_the_dashboard() + of_the_page()
    rules = [{"record": "job:of:this", "expr": query, "labels": {"query": str(n)}} for n, query in enumerate(found)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"SUCCESS: {len(found)} rules" in promtool("check", "rules", file)
    assert len(queries()) > len(found)


def test_dashboard_is_what_its_script_builds_and_has_nothing_that_the_schema_does_not_know() -> None:
    text = dashboard.FILE.read_text()
    assert text == dashboard.text()
    assert dashboard.again(text) == text
