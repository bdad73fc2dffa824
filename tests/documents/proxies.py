"""Caddy and nginx with the very examples of docs/security.md, between clients and a service on ports of their own."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography import x509

from tests.db.tls import Authority
from tests.documents.blocks import the_block
from tests.processes import environment, free_port, until

HOST: Final = "api.example.com"
SERVICE: Final = "127.0.0.1:8000"
DOCUMENT: Final = "docs/security.md"
BODY_SECONDS: Final = 2
"""BODY_TIMEOUT of the service, in place of 15."""


class Files:
    """What an example names or needs besides its own text, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration, self.certificate, self.key = (folder / name for name in ("conf", "cert.pem", "key.pem"))
        authority = Authority("Authority of the tests")
        certificate, key = authority.issue(x509.DNSName(HOST))
        self.authority = authority.pem.decode()
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(key)


def caddy(files: Files, port: int, service: str) -> Sequence[str]:
    """Write the example for a port, and return the arguments that choose it."""
    text = _only(the_block(DOCUMENT, "caddyfile", HOST), SERVICE, service)
    text = _only(text, f"{HOST} {{\n", f"https://{HOST}:{port} {{\n\ttls {files.certificate} {files.key}\n")
    text = _only(text, "read_body 17s", f"read_body {BODY_SECONDS + 20}s")
    text = text.replace("{\n", "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n", 1)
    files.configuration.write_text(text)
    return ("--config", str(files.configuration), "--adapter", "caddyfile")


def nginx(files: Files, port: int, service: str) -> Sequence[str]:
    """Write the example for a port, and return the arguments that choose it."""
    text = _only(the_block(DOCUMENT, "nginx", HOST), SERVICE, service)
    text = _only(text, "listen 443 ", f"listen 127.0.0.1:{port} ")
    text = _only(text, "/etc/ssl/api.example.com.pem", str(files.certificate))
    text = _only(text, "/etc/ssl/api.example.com.key", str(files.key))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {files.folder}/{kind};\n" for kind in kinds)
    files.configuration.write_text(
        f"daemon off;\nmaster_process off;\npid {files.folder}/pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{text}}}\n"
    )
    return ("-e", "stderr", "-p", str(files.folder), "-c", str(files.configuration))


Written = Callable[[Files, int, str], Sequence[str]]
PROXIES: Final[dict[str, tuple[Written, Sequence[str], Sequence[str]]]] = {
    "caddy": (caddy, ("run",), ("validate",)),
    "nginx": (nginx, (), ("-t",)),
}
"""How the example of each is written, and the arguments that run and check it."""


def program(name: str) -> str | None:
    """Where a proxy is, if it is installed."""
    return shutil.which(name) or shutil.which(f"/usr/sbin/{name}")


def check(name: str, path: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let a proxy read its example."""
    write, _, checks = PROXIES[name]
    arguments = write(Files(folder), free_port(), SERVICE)
    return subprocess.run(
        [path, *checks, *arguments],
        env=environment(HOME=str(folder)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def proxy(name: str, path: str, folder: Path, service: str) -> Iterator[tuple[int, int, str]]:
    """Run a proxy in front of a service; yields its process, its port and the certificate of its authority."""
    write, runs, _ = PROXIES[name]
    files, port = Files(folder), free_port()
    arguments = write(files, port, service)
    with (
        (files.folder / "log").open("w") as log,
        subprocess.Popen(
            [path, *runs, *arguments],
            env=environment(HOME=str(files.folder)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            until(lambda: _listens(port) or process.poll() is not None)
            assert process.poll() is None, (files.folder / "log").read_text()
            yield process.pid, port, files.authority
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _only(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)
