"""What Prometheus is told by real servers of one and of four workers."""

import re
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import httpx
import pytest

from app.auth.caller import Rule
from app.metrics import families
from app.metrics.families import Family
from app.settings import VERSION
from tests.documents.blocks import the_block
from tests.metrics.conftest import DURATION, Watched
from tests.metrics.scrapes import CLIENT, Scrape
from tests.processes import ROOT, until

STATEMENT = "tasks_database_statement_duration_seconds"
LIST, TASK = "/api/{user_id}/tasks", "/api/{user_id}/tasks/{task_id}"
ROUNDS = 12
NOBODYS = 2**63 - 1
"""The id of no task."""
OURS = [value for value in vars(families).values() if isinstance(value, Family)]
PAGE = (ROOT / "docs" / "operations.md").read_text()

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool on the PATH")


@pytest.fixture(params=["one", "four"])
def service(request: pytest.FixtureRequest) -> Watched:
    served: Watched = request.getfixturevalue(request.param)
    return served


def difference(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    return after.sum(name, **labels) - before.sum(name, **labels)


def test_known_requests_are_what_the_sums_grow_by(service: Watched, title: str) -> None:
    headers = service.user()
    before = service.scrape()
    for _ in range(ROUNDS):
        assert service.ask("POST", "/api/me/tasks", headers=headers, json={"title": title}).status_code == 201
        assert len(service.ask("GET", "/api/me/tasks", headers=headers).json()) > 0
        assert service.ask("GET", f"/api/me/tasks/{NOBODYS}", headers=headers).status_code == 404
        assert service.ask("GET", f"/nowhere/{title}").status_code == 404
        assert service.ask("HEAD", "/health").status_code == 200
        assert service.ask("POST", "/api/me/tasks", headers=headers, json={"title": ""}).status_code == 422
    for wrong in ({"Authorization": f"Bearer {title}"}, {}):
        sent = {**wrong, "X-Forwarded-For": "192.0.2.1"}  # an address of its own, for refused tokens are limited
        assert service.ask("GET", "/api/me/tasks", headers=sent).status_code == 401

    after = service.scrape()
    grown = {
        (f"{DURATION}_count", "POST", LIST, "201"): ROUNDS,
        (f"{DURATION}_count", "GET", LIST, "200"): ROUNDS,
        (f"{DURATION}_count", "GET", TASK, "404"): ROUNDS,
        (f"{DURATION}_count", "GET", "unmatched", "404"): ROUNDS,
        (f"{DURATION}_count", "HEAD", "/health", "200"): ROUNDS,
        (f"{DURATION}_count", "POST", LIST, "422"): ROUNDS,
        (f"{DURATION}_count", "GET", LIST, "401"): 2,
    }
    for (name, method, route, status), number in grown.items():
        assert difference(before, after, name, method=method, route=route, status=status) == number, route
    for code, number in {"task_not_found": ROUNDS, "not_found": ROUNDS, "validation_failed": ROUNDS}.items():
        assert difference(before, after, "tasks_problems_total", code=code) == number
    assert difference(before, after, "tasks_problems_total") == 3 * ROUNDS + 2
    for statement in ("tasks.create", "tasks.list", "tasks.read"):
        assert difference(before, after, f"{STATEMENT}_count", statement=statement) == ROUNDS
    assert difference(before, after, "tasks_database_wait_seconds_count") == 3 * ROUNDS
    assert difference(before, after, "tasks_list_cache_requests_total") == ROUNDS
    for result, number in {"accepted": 4 * ROUNDS, "malformed": 1, "missing": 1}.items():
        assert difference(before, after, "tasks_tokens_total", result=result) == number
    for name in ("refused_total", "statement_failures_total", "outcome_unknown_total"):
        assert difference(before, after, f"tasks_database_{name}") == 0


def test_durations_lie_in_the_buckets_that_their_sum_allows(four: Watched) -> None:
    four.ask("GET", "/health")
    scrape = four.scrape()
    buckets = [(float(has["le"]), value) for name, has, value in scrape.samples() if name == f"{DURATION}_bucket"]
    assert {bound for bound, _ in buckets} == {*families_bounds(), float("inf")}
    counts = scrape.sum(f"{DURATION}_count")
    assert sum(value for bound, value in buckets if bound == float("inf")) == counts
    assert sum(value for bound, value in buckets if bound == 10) == counts
    assert 0 < scrape.sum(f"{DURATION}_sum") < counts


def families_bounds() -> set[float]:
    return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}


def test_gauges_are_sums_over_the_workers(four: Watched, one: Watched) -> None:
    headers = four.user()
    four.ask("GET", "/api/me/tasks", headers=headers)
    scrape = four.scrape()
    assert scrape.sum("tasks_database_connections_limit") == 4 * 3
    assert scrape.sum("tasks_database_connections", state="used") == 0
    assert scrape.sum("tasks_database_requests_waiting") == 0
    assert one.scrape().sum("tasks_database_connections_limit") == 10


def test_each_worker_shows_what_it_uses(four: Watched) -> None:
    scrape = four.scrape()
    for name in ("resident_memory_bytes", "cpu_seconds_total", "start_time_seconds"):
        values = scrape.values(f"tasks_worker_{name}", "pid")
        assert values.keys() == {str(number) for number in four.server.worker_ids}
        assert all(value > 0 for value in values.values())
    assert scrape.sum("tasks_build_info", version=VERSION) == 1


def test_confirmed_lists_are_hits(one: Watched, title: str) -> None:
    headers = one.user()
    one.ask("POST", "/api/me/tasks", headers=headers, json={"title": title})
    before = one.scrape()
    tag = one.ask("GET", "/api/me/tasks", headers=headers).headers["etag"]
    one.ask("GET", "/api/me/tasks", headers=headers)
    one.ask("GET", "/api/me/tasks", headers={**headers, "If-None-Match": tag})
    after = one.scrape()
    assert difference(before, after, "tasks_list_cache_requests_total", result="hit") == 1
    assert difference(before, after, "tasks_list_cache_requests_total", result="miss") == 1
    assert after.sum("tasks_list_cache_bytes") > before.sum("tasks_list_cache_bytes")


def test_refused_tokens_beyond_the_limit_are_counted_for_it(one: Watched) -> None:
    before = one.scrape()
    headers = {"X-Forwarded-For": "192.0.2.2"}
    answers = [one.ask("GET", "/api/me/tasks", headers=headers).status_code for _ in range(12)]
    refused = answers.count(429)
    assert refused >= 2
    assert answers.count(401) == 12 - refused
    after = one.scrape()
    assert difference(before, after, "tasks_rate_limited_total", limit="failed-auth") == refused
    assert after.values("tasks_rate_limited_total", "limit").keys() == {"user", "writes", "failed-auth"}


def test_what_never_became_a_request_is_counted_as_other(one: Watched) -> None:
    before = one.scrape()
    one.asked += 1
    with socket.create_connection(("127.0.0.1", one.server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 431 ")
    after = one.scrape()
    labels = {"method": "other", "route": "unmatched", "status": "431"}
    assert difference(before, after, f"{DURATION}_count", **labels) == 1
    assert difference(before, after, "tasks_problems_total", code="request_header_fields_too_large") == 1


def test_unknown_methods_share_a_label(one: Watched) -> None:
    assert one.ask("PROPFIND", "/api/me/tasks").status_code == 405
    scrape = one.scrape()
    assert scrape.sum(f"{DURATION}_count", method="other", status="405") == 1
    assert scrape.sum(f"{DURATION}_count", method="PROPFIND") == 0


def test_migrations_at_the_start_are_timed_and_otherwise_those_that_lack_are_counted(
    one: Watched, four: Watched
) -> None:
    migrated = one.scrape()
    assert migrated.sum("tasks_migrations_seconds") > 0
    assert "tasks_migrations_pending 0.0" in migrated.text
    until(lambda: "tasks_migrations_pending" in four.scrape().names())
    asked = four.scrape()
    assert "tasks_migrations_pending 0.0" in asked.text
    assert "tasks_migrations_seconds" not in asked.names()


def test_the_port_of_the_api_has_no_metrics(service: Watched) -> None:
    answer = service.ask("GET", "/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_no_metric_says_who_asked_for_what(four: Watched, title: str) -> None:
    headers = four.user()
    created = four.ask("POST", "/api/me/tasks", headers=headers, json={"title": title, "tags": [f"tag{title}"]}).json()
    assert four.ask("GET", f"/api/{created['user_id']}/tasks?search={title}", headers=headers).status_code == 200
    assert four.ask("GET", f"/{title}", headers={"Authorization": f"Bearer {title}", "Origin": title}).status_code
    assert four.ask("GET", f"/api/{title}/tasks/{title}", headers=headers).status_code == 403
    text = four.scrape().text
    for said in (title, created["user_id"], headers["Authorization"].removeprefix("Bearer "), "127.0.0.1", "::1"):
        assert said not in text


@needs_promtool
def test_promtool_accepts_a_scrape_of_four_workers(four: Watched) -> None:
    four.ask("POST", "/api/me/tasks", headers=four.user(), json={"title": "x"})
    scrape = four.scrape()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=scrape.text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@needs_promtool
def test_documented_scrape_configuration_is_one_of_prometheus(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(the_block("docs/operations.md", "yaml", "scrape_configs"))
    checked = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_metric_is_documented_with_its_labels_and_no_other(four: Watched, one: Watched) -> None:
    rows = re.findall(r"^\| `(tasks_\w+)` \| (.*?) ?\| ", PAGE, flags=re.MULTILINE)
    documented = {name: set(re.findall(r"\w+", labels)) for name, labels in rows}
    one.ask("POST", "/api/me/tasks", headers=one.user(), json={"title": "x"})
    scrape = one.scrape()
    assert documented.keys() == scrape.names() | four.scrape().names()
    assert documented.keys() >= {family.name for family in OURS}
    for family in OURS:
        assert documented[family.name] == {*family.labels}
    for name, has, _ in scrape.samples():
        family_name = re.sub(r"_(bucket|sum|count)$", "", name)
        assert documented[family_name] == has.keys() - {"le"}, name


def test_streams_are_counted_by_themselves_and_their_length_is_in_no_histogram(four: Watched) -> None:
    headers = four.user()
    before = four.scrape()
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(CLIENT.stream("GET", f"{four.server.url}/api/me/events", headers=headers))
        until(lambda: Scrape.of(four.port).sum("tasks_event_streams") == 3)
    until(lambda: Scrape.of(four.port).sum("tasks_event_streams") == 0)
    assert four.ask("GET", "/api/nobody/events", headers=headers).status_code == 403
    after = four.scrape()
    assert difference(before, after, "tasks_event_streams_opened_total") == 3
    assert after.values("tasks_event_streams_refused_total", "code") == {"too_many_streams": 0, "streams_full": 0}
    route = {"route": "/api/{user_id}/events"}
    assert difference(before, after, f"{DURATION}_count", **route) == 1  # the refusal
    assert four.server.output.count('"route":"/api/{user_id}/events","status":200') == 3


def test_verdicts_about_tokens_are_the_documented_ones(one: Watched) -> None:
    [row] = re.findall(r"^\| `tasks_tokens_total` .*$", PAGE, flags=re.MULTILINE)
    told = one.scrape().values("tasks_tokens_total", "result")
    assert told.keys() == {"accepted", *get_args(Rule)}
    assert told.keys() <= {*re.findall(r"`(\w+)`", row)}


def test_the_answer_is_text_for_prometheus(one: Watched) -> None:
    answer = httpx.get(f"http://127.0.0.1:{one.port}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
