"""Which requests the SDK's sampler would leave out, at a hundredth of what it takes to ask it.

The sampler decides about all others: what is let through here it may leave out, never the other way round.
"""

import re
from typing import Final

from opentelemetry.sdk.trace.sampling import Sampler, TraceIdRatioBased

LOW_BITS: Final = TraceIdRatioBased.TRACE_ID_LIMIT
"""The part of a trace's id by which a share of the traces is chosen."""

ROOT: Final = re.compile(r"(?:ParentBased\{root:)?(?:(AlwaysOff)Sampler|TraceIdRatioBased\{([^}]*)\})")
OBEDIENT: Final = ",remoteParentNotSampled:AlwaysOffSampler,"
LEFT_OUT: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][02468ace]")
"""A valid `traceparent` without the flag `sampled` (W3C Trace Context, section 3.2)."""


def bound(sampler: Sampler) -> int:
    """Return what LOW_BITS of the id of a trace that begins here have to be below, for the trace to be sampled."""
    root = ROOT.match(sampler.get_description())
    if root is None:
        return LOW_BITS + 1
    return 0 if root[1] else TraceIdRatioBased.get_bound_for_rate(float(root[2]))


def obeys(sampler: Sampler) -> bool:
    """Tell whether the sampler leaves out whatever a caller has left out."""
    return OBEDIENT in sampler.get_description()
