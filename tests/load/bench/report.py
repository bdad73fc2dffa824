"""The results as text for a terminal."""

from collections.abc import Iterator
from typing import Final

from tests.load.bench.results import Results

FIGURES: Final = f"{'':46}   req/s   p50 ms   p99 ms   app µs   pg µs  RSS MiB"
OPEN_LOAD: Final = f"{'':46}req/s due  answered   p50 ms   p99 ms  p99.9 ms   app µs   pg µs"
RATIOS: Final = f"{'':46}   req/s   lowest  highest      p50   app µs"


def text(results: Results) -> str:
    """Write machine, figures, what was found under open load, and ratios."""
    return "\n".join((*_machine(results), *_figures(results), *_open_load(results), *_ratios(results)))


def _machine(results: Results) -> Iterator[str]:
    machine = results.machine
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}"
    yield f"Python {machine['python']}, PostgreSQL {machine['postgresql']}, {machine['wrk']}, node {machine['node']}"
    yield f"commit {machine['commit']}"
    yield ", ".join(f"{name} {version}" for name, version in (machine["packages"] | machine["go"]).items())
    yield ", ".join(f"{name} {value}" for name, value in results.options.items())


def _figures(results: Results) -> Iterator[str]:
    yield "\nMedians over the rounds; processor time and memory of all processes, per request"
    for work, title in results.work.items():
        note = f" ({results.notes[work]})" if work in results.notes else ""
        yield f"\n{title}{note}\n{FIGURES}"
        for one in results.summaries:
            if one.work != work or one.percent is not None:
                continue
            name = f"  {results.contenders[one.contender]:<44}"
            if one.error:
                yield f"{name}  error {one.error}"
            else:
                yield (
                    f"{name}{one.throughput:>8.0f}{one.p50:>9.2f}{one.p99:>9.2f}{one.application_cpu:>9.0f}"
                    f"{one.postgresql_cpu:>8.0f}{one.resident:>9.0f}"
                )


def _open_load(results: Results) -> Iterator[str]:
    under = [one for one in results.summaries if one.percent is not None]
    if under:
        yield "\nUnder open load, at shares of what each answered above; latency from the moment a request was due"
    for work, contender in dict.fromkeys((one.work, one.contender) for one in under):
        yield f"\n{results.work[work]}: {results.contenders[contender]}\n{OPEN_LOAD}"
        for one in under:
            if (one.work, one.contender) != (work, contender):
                continue
            name = f"  {one.percent:>3} %{'':39}"
            if one.error:
                yield f"{name}  error {one.error}"
            else:
                p999 = "-" if one.p999 is None else f"{one.p999:.2f}"
                yield (
                    f"{name}{one.rate:>10.0f}{one.throughput:>10.0f}{one.p50:>9.2f}{one.p99:>9.2f}{p999:>10}"
                    f"{one.application_cpu:>9.0f}{one.postgresql_cpu:>8.0f}"
                )


def _ratios(results: Results) -> Iterator[str]:
    yield (
        "\nRatios of throughput (with the lowest and highest round), of p50 and of the application's processor time: "
        "medians of those within the rounds"
    )
    for work, title in results.work.items():
        for contender in dict.fromkeys(ratio.contender for ratio in results.ratios if ratio.work == work):
            yield f"\n{title}: {results.contenders[contender]}\n{RATIOS}"
            for ratio in results.ratios:
                if (ratio.work, ratio.contender) == (work, contender):
                    application = "-" if ratio.application_cpu is None else f"{ratio.application_cpu:.2f}"
                    yield (
                        f"  {results.contenders[ratio.against]:<44}"
                        f"{ratio.throughput:>8.2f}{ratio.lowest:>9.2f}{ratio.highest:>9.2f}{ratio.p50:>9.2f}{application:>9}"
                    )
