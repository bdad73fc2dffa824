"""METRICS_PORT, for as long as the service runs. Where it is off, the library is not imported."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import EADDRINUSE
from typing import TYPE_CHECKING

from app import listening
from app.metrics import directory
from app.settings import Settings, hand_down

if TYPE_CHECKING:
    from app.metrics.exposition import Exposition


@contextmanager
def answering(settings: Settings, api_port: int | None) -> Iterator["Exposition | None"]:
    """Answer Prometheus for the length of the block, in a thread of this process; None where nobody asked for that.

    Ends with one sentence where the address or the folder cannot be used.
    """
    port, host = settings.metrics_port, settings.metrics_host
    if port is None:
        yield None
        return
    if port == api_port:
        raise SystemExit(f"METRICS_PORT is {port}, the port of the API; choose another.")
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(directory.folder(settings.prometheus_multiproc_dir))
        except OSError as error:
            raise SystemExit(f"PROMETHEUS_MULTIPROC_DIR cannot be used: {error.strerror}.") from None
        hand_down("PROMETHEUS_MULTIPROC_DIR", str(folder))  # before the library is imported, which reads it then
        from app.metrics import exposition  # noqa: PLC0415 - see above

        shown = exposition.Exposition(folder)
        try:
            everywhere = listening.host_for_uvicorn(host, shared=True) or host  # both families, or the one there is
            stack.enter_context(exposition.answering(shown, everywhere, port))
        except OSError as error:
            taken = f"METRICS_PORT {port} is already in use; stop what listens there, or choose another."
            other = f"Cannot listen on METRICS_HOST {host}, METRICS_PORT {port}: {error.strerror}."
            raise SystemExit(taken if error.errno == EADDRINUSE else other) from None
        yield shown
