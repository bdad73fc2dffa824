"""The files in which a worker leaves its numbers for the process that is asked for them, in prometheus-client's form.

They are made for its multiprocess mode, which names them for what is in them and whose it is: `counter_7-123.db`.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from app.metrics.durations import BOUNDS, Series
from app.metrics.families import Family

INFIXES: Final = {"counter": "counter", "gauge": "gauge_livesum", "histogram": "histogram"}
ENDINGS: Final = [floatToGoString(bound) for bound in (*BOUNDS, float("inf"))]


class Files:
    """Those of one worker in `directory`. What is written stays when the process is killed."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._files = {kind: opened(directory / f"{infix}_{worker}.db") for kind, infix in INFIXES.items()}
        self._keys: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self._written: dict[tuple[str, tuple[str, ...]], Sequence[float]] = {}

    def write(self, family: Family, labels: tuple[str, ...], value: float) -> None:
        """Write what a counter or a gauge has reached."""
        self._write(family, labels, [value])

    def write_counts(self, family: Family, counts: Mapping[str, float]) -> None:
        """Write counters by the value of their only label."""
        for label, value in counts.items():
            self._write(family, (label,), [value])

    def write_durations(self, family: Family, durations: Mapping[tuple[str, ...], Series], *, unit: float = 1) -> None:
        """Write histograms by labels; `unit` is that of their sums, in seconds."""
        for labels, series in durations.items():
            self._write(family, labels, [*series[:-1], series[-1] * unit])

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _write(self, family: Family, labels: tuple[str, ...], values: Sequence[float]) -> None:
        """Write the values of a series that are others than before."""
        series = (family.name, labels)
        before = self._written.get(series)
        if values == before:
            return
        keys = self._keys.get(series)
        if keys is None:
            keys = self._keys[series] = _keys(family, labels)
        file = self._files[family.kind]
        for index, value in enumerate(values):
            if before is None or value != before[index]:
                file.write_value(keys[index], value, 0.0)
        self._written[series] = values


def opened(path: Path, values: Mapping[str, float] = MappingProxyType({})) -> MmapedDict:
    """Open a new file with these values, which nobody sees before it can be read."""
    unfinished = path.with_suffix(".new")
    file = MmapedDict(str(unfinished))
    for key, value in values.items():
        file.write_value(key, value, 0.0)
    os.replace(unfinished, path)  # noqa: PTH105 - Path.replace is the same
    return file


def _keys(family: Family, labels: tuple[str, ...]) -> list[str]:
    """Return under what the values of a series are written."""
    names, values = [*family.labels], [*labels]
    if family.kind != "histogram":
        metric = family.name.removesuffix("_total")
        return [mmap_key(metric, family.name, names, values, family.help)]
    buckets = [
        mmap_key(family.name, f"{family.name}_bucket", [*names, "le"], [*values, ending], family.help)
        for ending in ENDINGS
    ]
    return [*buckets, mmap_key(family.name, f"{family.name}_sum", names, values, family.help)]
