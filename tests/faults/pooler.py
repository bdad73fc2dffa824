"""PgBouncer in transaction mode, as Neon's pooler is one; `.ci/pgbouncer` fetches the two kinds that matter."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.faults.cluster import Cluster
from tests.processes import ROOT, until
from tests.wire import SOCKET

FOLDER = ROOT / ".dev" / "pgbouncer"
SERVER_CONNECTIONS = 2
NEON_PREPARED_STATEMENTS = 1000
"""Neon's own value (its documentation, "Connection pooling")."""


def installed(kind: str) -> bool:
    return (FOLDER / kind / "run").exists()


@contextmanager
def pooled(cluster: Cluster, kind: str, database_url: str) -> Iterator[str]:
    """Yield the URL of a PgBouncer of that kind in front of the database."""
    parts = urlsplit(database_url)
    [backend] = parse_qs(parts.query)["host"]
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer"))
    lines = [
        "[databases]",
        f"* = host='{backend}' user=postgres",
        "[pgbouncer]",
        f"unix_socket_dir = {folder}",
        "listen_port = 5432",  # names the socket
        "auth_type = any",
        "pool_mode = transaction",
        f"default_pool_size = {SERVER_CONNECTIONS}",
        f"logfile = {folder}/log",
    ]
    if kind != "1.18":
        lines.append(f"max_prepared_statements = {NEON_PREPARED_STATEMENTS}")
    (folder / "pgbouncer.ini").write_text("\n".join(lines))
    owner = cluster.owner if os.geteuid() == 0 else None  # PgBouncer refuses to run as root
    if owner is not None:
        os.chown(folder, owner, -1)
    with subprocess.Popen(
        [FOLDER / kind / "run", "--quiet", folder / "pgbouncer.ini"], user=owner, cwd=folder
    ) as process:
        try:
            until((folder / SOCKET).exists)
            yield f"postgresql://postgres:@{parts.path}?host={folder}"
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(folder)
