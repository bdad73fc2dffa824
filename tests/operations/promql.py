"""The queries of alerts.yml, dashboard.json and the runbooks, and what they select."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml  # type: ignore[import-untyped]

from tests.documents.blocks import blocks
from tests.metrics.scrapes import Labels
from tests.processes import ROOT

FOLDER: Final = ROOT / "docs" / "operations"
MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
SELECTOR: Final = re.compile(r'\b(tasks_\w+)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?')
GROUPED: Final = re.compile(r"\b(?:by|on) \(([^)]*)\)")
OF_PROMETHEUS: Final = {"job", "instance"}
"""Labels that it puts on every series itself."""

OF_THE_RULES: Final = {"minute"}
"""A label that a rule makes for itself."""


class Selector(NamedTuple):
    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    """Of labels of ours: name, operator, value."""

    def matches(self, name: str, labels: Labels) -> bool:
        return name == self.metric and all(_holds(labels.get(label, ""), how, value) for label, how, value in self[1])


def _holds(value: str, how: str, wanted: str) -> bool:
    equal = bool(re.fullmatch(wanted, value)) if "~" in how else value == wanted
    return equal is not how.startswith("!")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def panels() -> list[dict[str, Any]]:
    """Those with queries, in the dashboard's order."""
    return [panel for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"] if "targets" in panel]


def of_the_dashboard() -> list[str]:
    """Queries with a value in the place of each variable of Grafana."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [query.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*") for query in found]


def of_the_page() -> list[str]:
    return [line for block in blocks("promql") for line in block.text.splitlines()]


def queries() -> list[str]:
    return [rule["expr"] for rule in rules()] + of_the_dashboard() + of_the_page()


def selectors(query: str) -> Iterator[Selector]:
    """Yield what a query selects of our metrics; names with a colon are of recorded rules."""
    for name, inside in SELECTOR.findall(re.sub(r"\b\w+:[\w:]+(\{[^}]*\})?", "", query)):
        matchers = tuple(one for one in MATCHER.findall(inside) if one[0] not in OF_PROMETHEUS)
        yield Selector(name, matchers)


def grouped(query: str) -> set[str]:
    """Return the labels of ours that a query groups or joins by."""
    named = {label.strip() for found in GROUPED.findall(query) for label in found.split(",")}
    return named - OF_PROMETHEUS - OF_THE_RULES - {""}
