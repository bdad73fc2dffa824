"""`litestar run` with Litestar's own options for TLS and for restarts on changes, on the real server."""

import ipaddress
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import httpx
import litestar.cli.commands.core as litestars
import pytest
from click.testing import CliRunner
from cryptography import x509

from app.cli import Commands
from app.settings import Settings
from tests.db.tls import Authority
from tests.processes import START_SECONDS, Server, copied_project, until

LEFT_OUT = {"--debug", "--use-pdb", "--create-self-signed-cert"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Files with an authority's certificate, one for 127.0.0.1 that it signed, and the key of that one."""
    authority = Authority("of the tests")
    files = tmp_path / "ca.pem", tmp_path / "certificate.pem", tmp_path / "key.pem"
    contents = authority.pem, *authority.issue(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return files


@pytest.fixture
def run(settings: Settings) -> click.Command:
    cli = click.Group()
    Commands(settings).on_cli_init(cli)
    return cli.commands["run"]


def test_every_option_has_the_names_and_variables_of_litestars_own(run: click.Command) -> None:
    theirs = {max(param.opts, key=len): param for param in litestars.run_command.params}
    assert theirs.keys() - LEFT_OUT == {name for param in run.params for name in param.opts} & theirs.keys()
    for our in run.params:
        their = theirs[max(our.opts, key=len)]
        assert (our.opts, our.multiple) == (their.opts, their.multiple)
        assert variables(our) >= variables(their)
        if our.multiple:
            assert our.type.envvar_list_splitter == their.type.envvar_list_splitter == ","


def variables(option: click.Parameter) -> set[str]:
    return {option.envvar} if isinstance(option.envvar, str) else {*(option.envvar or ())}


def test_tls_is_spoken_with_the_given_certificate(folder: Path, certificate: tuple[Path, Path, Path]) -> None:
    authority, chain, key = certificate
    server = Server(folder, options=("--ssl-certfile", str(chain), "--ssl-keyfile", str(key))).serving()
    address = f"https://127.0.0.1:{server.port}"
    assert f"Documentation  {address}/docs " in server.output
    line = re.search(r"-H '(.*?): (.*?)' (.*)", server.curl)
    assert line
    name, value, url = line.groups()
    assert url == f"{address}/api/me/tasks"
    with httpx.Client(verify=ssl.create_default_context(cafile=authority), headers={name: value}) as client:
        created = client.post(url, json={"title": "Buy milk"})
        assert created.status_code == 201
        assert [task["title"] for task in client.get(url).json()] == ["Buy milk"]
    assert server.terminate() == 0


@pytest.mark.parametrize("given", ["certfile", "keyfile"])
def test_a_certificate_without_its_key_is_one_sentence(
    run: click.Command, certificate: tuple[Path, Path, Path], given: str
) -> None:
    refused = CliRunner().invoke(run, [f"--ssl-{given}", str(certificate[1])])
    assert refused.exit_code == 1
    assert refused.output == "--ssl-certfile and --ssl-keyfile need each other.\n"


def test_a_key_of_another_certificate_is_one_sentence_before_anything_starts(
    run: click.Command, certificate: tuple[Path, Path, Path]
) -> None:
    authority, chain, _ = certificate
    refused = CliRunner().invoke(run, ["--ssl-certfile", str(chain), "--ssl-keyfile", str(authority)])
    assert refused.exit_code == 1
    assert re.fullmatch(r"The certificate .* cannot be used with the key .*\n", refused.output)


def starts(server: Server, number: int) -> Callable[[], bool]:
    return lambda: server.output.count("Application startup complete") == number


def test_a_change_of_the_application_restarts_it_and_the_database_goes_on(folder: Path) -> None:
    server = Server(folder, options=("--reload",)).serving()
    (folder / "app" / "errors.py").touch()
    until(starts(server, 2), START_SECONDS)
    assert httpx.get(f"{server.url}/docs").status_code == 200
    assert server.output.count("psql") == 1
    assert server.interrupt() == 0


def test_a_change_in_any_of_the_given_folders_restarts_it_and_one_elsewhere_does_not(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
    server = Server(folder, options=("--reload-dir", "one", "--reload-dir", "two")).serving()
    (folder / "app" / "errors.py").touch()
    (folder / "two" / "changed.py").touch()
    until(starts(server, 2), START_SECONDS)
    assert "errors.py" not in server.output
    assert "changed.py" in server.output


def test_patterns_add_files_to_what_is_watched_and_take_files_away(folder: Path) -> None:
    (folder / "one").mkdir()
    options = ("--reload-dir", "one", "--reload-exclude", "left_*")
    server = Server(folder, options=options, LITESTAR_RELOAD_INCLUDES="*.html,*.css").serving()
    for name in ("left_out.py", "left_out.css", "page.css"):
        (folder / "one" / name).touch()
    until(starts(server, 2), START_SECONDS)
    assert "page.css" in server.output
    assert "left_out" not in server.output
