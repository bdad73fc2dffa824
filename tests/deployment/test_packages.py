"""What the Containerfile leaves out is nothing that the service needs."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from app.docs.assets import SWAGGER_UI
from app.settings import Settings
from tests.deployment.image import CONTAINERFILE
from tests.processes import ROOT

REQUIREMENTS = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / ".ci" / "requirements.txt").read_text(), flags=re.MULTILINE))
IN_THE_IMAGE = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if {name, name.partition(".")[0]} & MISSING else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

MISSING = set(sys.argv[1].split(","))
sys.meta_path[:] = map(Without, sys.meta_path)

import advanced_alchemy.alembic.commands
from litestar.cli.main import litestar_group
from app.asgi import create_app
from app.docs.assets import contents

app = create_app()
app.openapi_schema.to_schema()
contents()
for command in ("info", "routes", "run --help", "token --help", "database --help", "seed --help"):
    litestar_group.main(["--app", "app.asgi:create_app", *command.split()], standalone_mode=False)
"""


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_service_and_its_commands_do_with_the_packages_of_the_image(settings: Settings) -> None:
    missing = [
        module
        for module, distributions in packages_distributions().items()
        if not any(normalized(name) in REQUIREMENTS for name in distributions)
    ]
    assert {"faker", "polyfactory", "pytest", "jinja2"} <= {*missing}
    missing += [
        f"{package}._cffi" for package in re.findall(r"^RUN rm .*/(\w+)/_cffi", CONTAINERFILE, flags=re.MULTILINE)
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_THE_IMAGE, ",".join(missing)],
        cwd=ROOT,
        env={"DATABASE_URL": settings.database_url, "BETTER_AUTH_SECRET": settings.better_auth_secret},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_of_swagger_ui_the_image_keeps_what_the_page_takes(tmp_path: Path) -> None:
    [command] = re.findall(r"^RUN (find .*?-delete)$", CONTAINERFILE, flags=re.MULTILINE | re.DOTALL)
    _, folder, *conditions = shlex.split(command.replace("\\\n", ""))
    assert folder.endswith("/site-packages/swagger_ui")
    assert f"FROM python:{re.findall(r'python(3[.][0-9]+)', folder)[0]}-slim AS build" in CONTAINERFILE
    package = tmp_path / "swagger_ui"
    needed = {"__init__.py", "static/LICENSE", *(f"static/{name}" for name in SWAGGER_UI)}
    for name in (*needed, "core.py", "handlers/__init__.py", "static/swagger-editor.js", "static/swagger-ui.css.map"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    subprocess.run(["find", package, *conditions], check=True)
    left = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert left == needed
