"""Asks a server for its metrics as Prometheus does."""

from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

Labels = dict[str, str]

CLIENT: Final = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
"""Makes a connection for each request."""


@dataclass(frozen=True)
class Scrape:
    text: str

    @classmethod
    def of(cls, port: int) -> "Scrape":
        answer = CLIENT.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == 200, answer.text
        return cls(answer.text)

    def samples(self) -> list[tuple[str, Labels, float]]:
        families = text_string_to_metric_families(self.text)
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Add up the samples of this name whose labels include these."""
        return sum(value for found, has, value in self.samples() if found == name and labels.items() <= {**has}.items())

    def values(self, name: str, label: str) -> dict[str, float]:
        """The samples of this name by one of their labels, each of whose values there is once."""
        found = [(has[label], value) for sample, has, value in self.samples() if sample == name]
        assert len({key for key, _ in found}) == len(found)
        return dict(found)

    def names(self) -> set[str]:
        """The names of all metrics, as their lines of TYPE have them."""
        return {line.split()[2] for line in self.text.splitlines() if line.startswith("# TYPE ")}
