"""The app of docs/examples/web in a copy of the project: checked and built, then started as its README says."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jwt
from litestar.serialization import encode_json

from app.asgi import create_app
from app.settings import Settings
from tests.auth.better_auth.issuer import install
from tests.processes import ROOT, copied_project, environment, free_port, processes_in, until

APP: Final = ROOT / "docs" / "examples" / "web"
INSTALLED: Final = ROOT / ".dev" / "web"
RULES: Final = Path(__file__).parent
START_SECONDS: Final = 120
OURS: Final = shutil.ignore_patterns("node_modules", "dist", "schema.d.ts")


@dataclass(frozen=True)
class Stack:
    """Where the app is, and what the service and Better Auth sign with."""

    url: str
    service: str
    secret: str

    def token(self, user_id: str, issued: int, expires: int) -> str:
        """A token of the secret that both servers share in development, at its moments in seconds since 1970."""
        return jwt.encode({"sub": user_id, "iat": issued, "exp": expires}, self.secret, algorithm="HS256")


def install_packages() -> None:
    """Install what the app and its tests need from npm, in folders that stay. Raises UnusableNodeError."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in (".npmrc", "package.json", "package-lock.json"):  # the first refuses a Node that is too old for Vite
        shutil.copy(APP / name, INSTALLED)
    install(INSTALLED)
    install(RULES)


def built(folder: Path, settings: Settings) -> Path:
    """Put the app into a copy of the project, check its types and build it. Raises UnusableNodeError."""
    install_packages()
    app = folder / APP.relative_to(ROOT)
    shutil.copytree(APP, app, ignore=OURS)
    (app / "node_modules").symlink_to(INSTALLED / "node_modules")
    (app / "openapi.json").write_bytes(encode_json(create_app(settings).openapi_schema.to_schema()))
    types = json.loads((APP / "package.json").read_text())["scripts"]["types"]
    for command in (types.replace("http://127.0.0.1:8000/", ""), "tsc", "vite build"):
        program, *arguments = command.split()
        done = subprocess.run(
            [f"node_modules/.bin/{program}", *arguments],
            cwd=app,
            env=environment(NO_COLOR="1"),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return app


@contextmanager
def running(settings: Settings) -> Iterator[Stack]:
    """All three servers by one command, in development, with what was built; ended as by Ctrl-C."""
    with copied_project() as folder:
        app = built(folder, settings)
        app_port, auth_port, api_port = free_port(), free_port(), free_port()
        ports = {"APP_PORT": str(app_port), "AUTH_PORT": str(auth_port), "API_PORT": str(api_port)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = environment(VIRTUAL_ENV=sys.prefix, UV_OFFLINE="1", **ports) | {"PATH": path}
        url = f"http://localhost:{app_port}"
        log = app / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["npm", "start", "--", "preview"],
                cwd=app,
                env=variables,
                start_new_session=True,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until(lambda: process.poll() is not None or f"The app is at {url}" in log.read_text(), START_SECONDS)
            assert process.poll() is None, log.read_text()
            yield Stack(url, f"http://127.0.0.1:{api_port}", (folder / ".dev" / "secret").read_text())
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            process.wait(START_SECONDS)
        until(lambda: not processes_in(folder), START_SECONDS)  # the database as well
