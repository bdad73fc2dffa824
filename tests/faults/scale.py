"""How long the faults last: in CI, just enough to see each; at full length, enough to believe the figures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    cycles: int
    """Of each fault that is repeated."""

    writes: int
    """Acknowledged before each of them."""

    hang_seconds: float
    requests: int
    """Through each kind of pooler."""

    answers: int
    """To reads of which some are cancelled."""

    overload_seconds: float
    flood_seconds: float
    erasures: int
    """Of each client."""

    recovery_seconds: float
    """Within which everybody is served again; a shared machine alone may take as long as the short one."""

    figures_count: bool
    """Whether the machine is quiet enough to hold response times against their limits."""


SHORT = Scale(
    cycles=2,
    writes=100,
    hang_seconds=6,
    requests=500,
    answers=5000,
    overload_seconds=5,
    flood_seconds=2,
    erasures=10,
    recovery_seconds=15,
    figures_count=False,
)
FULL = Scale(
    cycles=50,
    writes=260,
    hang_seconds=30,
    requests=10_000,
    answers=100_000,
    overload_seconds=60,
    flood_seconds=20,
    erasures=200,
    recovery_seconds=2,
    figures_count=True,
)
