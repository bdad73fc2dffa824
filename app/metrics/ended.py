"""Workers that have ended: their gauges vanish, and what they have counted stays in the sums, in one file for all."""

from collections import defaultdict
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

from app.metrics.files import INFIXES, opened

ENDED: Final = "ended"
"""Stands in the name of a file where others have the worker's."""


def workers(directory: Path) -> set[str]:
    """Return the identities of those who have left numbers, but for those who were put together with others."""
    return {path.stem.removeprefix(f"{INFIXES['gauge']}_") for path in directory.glob(f"{INFIXES['gauge']}_*.db")}


def bury(directory: Path, worker: str) -> None:
    """Put the numbers of one that has ended to those of the others; to do so again adds nothing."""
    for kind in ("counter", "histogram"):
        own = directory / f"{kind}_{worker}.db"
        if own.exists():
            _add(own, directory / f"{kind}_{ENDED}.db")
            own.unlink()
    mark_process_dead(worker, str(directory))


def _add(own: Path, together: Path) -> None:
    """Add every number of a file to that of the same name in another, which is replaced as a whole."""
    sums: dict[str, float] = defaultdict(float)
    for path in (own, together):
        if path.exists():
            for key, value, *_ in MmapedDict.read_all_values_from_file(str(path)):
                sums[key] += value
    file = opened(together, sums)
    file.close()
