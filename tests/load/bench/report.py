"""The results as text for a terminal."""

from collections.abc import Iterator
from typing import Final

from tests.load.bench.results import Results

FIGURES: Final = f"{'':46}   req/s   p50 ms   p99 ms   app µs   pg µs  RSS MiB"
RATIOS: Final = f"{'':46}   req/s   lowest  highest      p50"


def text(results: Results) -> str:
    """Write machine, figures and ratios."""
    return "\n".join((*_machine(results), *_figures(results), *_ratios(results)))


def _machine(results: Results) -> Iterator[str]:
    machine = results.machine
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}"
    yield f"Python {machine['python']}, PostgreSQL {machine['postgresql']}, {machine['wrk']}, node {machine['node']}"
    yield f"commit {machine['commit']}"
    yield ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield ", ".join(f"{name} {value}" for name, value in results.options.items())


def _figures(results: Results) -> Iterator[str]:
    yield "\nMedians over the rounds; processor time and memory of all processes, per request"
    for work, title in results.work.items():
        yield f"\n{title}\n{FIGURES}"
        for one in results.summaries:
            if one.work != work:
                continue
            name = f"  {results.contenders[one.contender]:<44}"
            if one.error:
                yield f"{name}  error {one.error}"
            else:
                yield (
                    f"{name}{one.throughput:>8.0f}{one.p50:>9.2f}{one.p99:>9.2f}{one.application_cpu:>9.0f}"
                    f"{one.postgresql_cpu:>8.0f}{one.resident:>9.0f}"
                )


def _ratios(results: Results) -> Iterator[str]:
    yield "\nRatios of throughput (with the lowest and highest round) and of p50: medians of those within the rounds"
    for work, title in results.work.items():
        for contender in dict.fromkeys(ratio.contender for ratio in results.ratios if ratio.work == work):
            yield f"\n{title}: {results.contenders[contender]}\n{RATIOS}"
            for ratio in results.ratios:
                if (ratio.work, ratio.contender) == (work, contender):
                    yield (
                        f"  {results.contenders[ratio.against]:<44}"
                        f"{ratio.throughput:>8.2f}{ratio.lowest:>9.2f}{ratio.highest:>9.2f}{ratio.p50:>9.2f}"
                    )
