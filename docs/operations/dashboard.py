"""Writes dashboard.json, which Grafana imports: `uv run python docs/operations/dashboard.py`.

Panels are built with Grafana's own library for that, whose types are made from Grafana's schema; mypy checks them here.
"""

import json
from pathlib import Path
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphGradientMode, LegendDisplayMode, VisibilityMode
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
)

FILE: Final = Path(__file__).with_name("dashboard.json")
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="$datasource")
OF: Final = 'job=~"$job",instance=~"$instance"'
USERS: Final = f'{OF},route=~"/api/[{{]user_id.*"'
"""Requests of users: neither probes, nor pages, nor addresses that nobody has."""

HTTP: Final = "tasks_http_request_duration_seconds"
STATEMENT: Final = "tasks_database_statement_duration_seconds"
LISTS: Final = "tasks_list_cache_requests_total"
WIDTH, HEIGHT = 8, 7
"""Of a panel, in Grafana's units: three stand side by side."""


class Query(NamedTuple):
    """A line of a panel, or several with their labels in the legend."""

    expression: str
    legend: str


class Drawn(NamedTuple):
    """A panel: what it shows, in which of Grafana's units."""

    title: str
    unit: str
    queries: list[Query]
    description: str = ""


def rate(metric: str, *by: str, of: str = OF) -> str:
    """Return a counter's growth a second, summed by labels."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{of}}}[$__rate_interval]))"


def quantile(share: float, metric: str, *by: str, of: str = OF) -> str:
    """Return what this share of a histogram's observations is at most, by labels."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', 'le', *by, of=of)})"


READS: Final = f'{USERS},method="GET",status=~"200|304"'
WRITES: Final = f'{USERS},method!~"GET|HEAD|OPTIONS",status=~"2.."'
FAILED: Final = f'{USERS},status=~"5.."'
HITS: Final = f'{OF},result="hit"'
LATENCIES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

ROWS: Final[dict[str, list[Drawn]]] = {
    "Traffic": [
        Drawn("Requests by status", "reqps", [Query(rate(f"{HTTP}_count", "status"), "{{status}}")]),
        Drawn("Reads, time to answer", "s", [Query(quantile(n, HTTP, of=READS), p) for p, n in LATENCIES.items()]),
        Drawn("Writes, time to answer", "s", [Query(quantile(n, HTTP, of=WRITES), p) for p, n in LATENCIES.items()]),
        Drawn("Requests by route", "reqps", [Query(rate(f"{HTTP}_count", "method", "route"), "{{method}} {{route}}")]),
    ],
    "Errors": [
        Drawn(
            "Share of 5xx",
            "percentunit",
            [Query(f"{rate(f'{HTTP}_count', of=FAILED)} / {rate(f'{HTTP}_count', of=USERS)}", "5xx")],
            "Of requests of users. TasksErrorBudget pages above 1.44 % for an hour.",
        ),
        Drawn("Problems by code", "reqps", [Query(rate("tasks_problems_total", "code") + " > 0", "{{code}}")]),
        Drawn("Refused by a rate limit", "reqps", [Query(rate("tasks_rate_limited_total", "limit"), "{{limit}}")]),
    ],
    "Database": [
        Drawn(
            "Connections",
            "short",
            [
                Query(f"sum by (state) (tasks_database_connections{{{OF}}})", "{{state}}"),
                Query(f"sum(tasks_database_connections_limit{{{OF}}})", "limit"),
            ],
        ),
        Drawn(
            "Requests that wait",
            "short",
            [Query(f"sum by (instance) (tasks_database_requests_waiting{{{OF}}})", "{{instance}}")],
        ),
        Drawn(
            "Time until there is a connection",
            "s",
            [Query(quantile(n, "tasks_database_wait_seconds"), p) for p, n in LATENCIES.items()],
        ),
        Drawn("Statements", "ops", [Query(rate(f"{STATEMENT}_count", "statement"), "{{statement}}")]),
        Drawn("Statements, p95", "s", [Query(quantile(0.95, STATEMENT, "statement"), "{{statement}}")]),
        Drawn(
            "Gone wrong",
            "ops",
            [
                Query(rate("tasks_database_statement_failures_total"), "failed"),
                Query(rate("tasks_database_statement_retries_total"), "sent again"),
                Query(rate("tasks_database_outcome_unknown_total"), "outcome unknown"),
                Query(rate("tasks_database_refused_total", "reason"), "{{reason}}"),
            ],
        ),
    ],
    "Lists": [
        Drawn(
            "Lists taken from the cache",
            "percentunit",
            [
                Query(
                    f"{rate(LISTS, of=HITS)} / {rate(LISTS)}",
                    "hits",
                )
            ],
            "Of lists that were answered with a body; 304 has none.",
        ),
        Drawn(
            "Memory of cached lists",
            "bytes",
            [Query(f"sum by (instance) (tasks_list_cache_bytes{{{OF}}})", "{{instance}}")],
        ),
    ],
    "Tokens": [
        Drawn("Verdicts", "reqps", [Query(rate("tasks_tokens_total", "result") + " > 0", "{{result}}")]),
        Drawn("Fetches of keys", "ops", [Query(rate("tasks_key_fetches_total", "result"), "{{result}}")]),
    ],
    "Workers": [
        Drawn("Memory", "bytes", [Query(f"tasks_worker_resident_memory_bytes{{{OF}}}", "{{instance}} {{pid}}")]),
        Drawn(
            "Processor",
            "percentunit",
            [Query(rate("tasks_worker_cpu_seconds_total", "instance", "pid"), "{{instance}} {{pid}}")],
        ),
        Drawn("Age", "s", [Query(f"time() - tasks_worker_start_time_seconds{{{OF}}}", "{{instance}} {{pid}}")]),
        Drawn(
            "Instances by version",
            "short",
            [
                Query(f"count by (version, python_version) (tasks_build_info{{{OF}}})", "{{version}}"),
                Query(f"max(tasks_migrations_pending{{{OF}}})", "migrations pending"),
            ],
        ),
    ],
}


def _panel(drawn: Drawn) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(drawn.title)
        .description(drawn.description)
        .datasource(SOURCE)
        .unit(drawn.unit)
        .min(0)
        .span(WIDTH)
        .height(HEIGHT)
        .line_width(1)
        .fill_opacity(10)
        .gradient_mode(GraphGradientMode.OPACITY)
        .show_points(VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST))
    )
    for name, query in zip("ABCDEFGH", drawn.queries, strict=False):
        target = prometheus.Dataquery().ref_id(name).datasource(SOURCE).expr(query.expression)
        panel = panel.with_target(target.legend_format(query.legend))
    return panel


def build() -> Dashboard:
    """Return the dashboard: a row for each of `ROWS`, and variables for the source, the job and its instances."""
    board = (
        dashboard.Dashboard("litestar-tasks")
        .uid("litestar-tasks")
        .tags(["litestar-tasks"])
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Source").type("prometheus"))
    )
    for name, query in {"job": "tasks_build_info, job", "instance": 'tasks_build_info{job=~"$job"}, instance'}.items():
        board = board.with_variable(
            dashboard.QueryVariable(name)
            .label(name.capitalize())
            .datasource(SOURCE)
            .query(f"label_values({query})")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .current(VariableOption(text="All", value="$__all", selected=True))
        )
    for title, panels in ROWS.items():
        board = board.with_row(dashboard.Row(title))
        for drawn in panels:
            board = board.with_panel(_panel(drawn))
    return board.build()


def text(board: Dashboard | None = None) -> str:
    """Return the file's text."""
    return json.dumps(board or build(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def again(written: str) -> str:
    """Return the text after the library has read it, which leaves out whatever the schema does not know."""
    return text(Dashboard.from_json(json.loads(written)))


if __name__ == "__main__":
    FILE.write_text(text())
