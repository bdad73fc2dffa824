"""What the forms of DATABASE_URL do against a real server: connect, or fail without having sent a password."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db.migrations import create_engine
from app.settings import Settings
from tests.db.tls import TlsServer, binaries, tls_server


class Session(NamedTuple):
    user: str
    encrypted: bool
    application_name: str
    time_zone: str


@pytest.fixture(scope="module")
def server() -> Iterator[TlsServer]:
    programs = binaries()
    if programs is None:
        pytest.skip("needs a PostgreSQL with TLS, such as Debian's package postgresql")
    with tls_server(programs) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
async def roles(server: TlsServer) -> None:
    for name in ("encrypted", "plain", "with_password", "anybody"):
        await server.execute(f"CREATE ROLE {name} LOGIN")


@pytest.fixture(autouse=True)
def _nobody_is_trusted_by_the_system(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.stranger))
    for variable in ("PGSSLMODE", "PGPASSWORD", "PGUSER"):
        monkeypatch.delenv(variable, raising=False)


async def connect(url: str) -> Session:
    engine = create_engine(Settings(database_url=url))
    try:
        async with engine.connect() as connection:
            found = await connection.execute(
                text(
                    "SELECT current_user, ssl, current_setting('application_name'), current_setting('TimeZone')"
                    " FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                )
            )
            return Session(*found.one())
    finally:
        await engine.dispose()


def url(server: TlsServer, query: str = "", *, user: str = "anybody", host: str = "localhost") -> str:
    return f"postgresql://{user}@{host}:{server.port}/postgres?{query}"


@contextmanager
def trusted(authority: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authority))
        yield


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_certificate_of_an_authority_of_the_system_is_accepted(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    with trusted(server.authority, monkeypatch):
        session = await connect(url(server, f"sslmode={mode}"))
        assert session.encrypted
        neon = url(server, f"sslmode={mode}&channel_binding=require&options=endpoint%3Dep-cool-night")
        assert (await connect(neon)).encrypted


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_certificate_of_an_unknown_authority_is_refused(server: TlsServer, mode: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(url(server, f"sslmode={mode}"))
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(url(server, f"sslmode={mode}&sslrootcert={server.stranger}"))


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_authority_may_be_named_by_a_file(server: TlsServer, mode: str) -> None:
    assert (await connect(url(server, f"sslmode={mode}&sslrootcert={server.authority}"))).encrypted


@pytest.mark.parametrize("mode", ["sslmode=require", "sslmode=verify-full", "ssl=true", "sslrootcert=system"])
async def test_certificate_for_another_host_is_refused(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    with (
        trusted(server.authority, monkeypatch),
        pytest.raises(ssl.SSLCertVerificationError, match="mismatch"),
    ):
        await connect(url(server, mode, host="127.0.0.1"))


async def test_verify_ca_accepts_another_host_below_an_authority_of_ones_own_only(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = f"sslmode=verify-ca&sslrootcert={server.authority}"
    assert (await connect(url(server, own, host="127.0.0.1"))).encrypted
    with trusted(server.authority, monkeypatch), pytest.raises(ssl.SSLCertVerificationError):
        await connect(url(server, "sslmode=verify-ca", host="127.0.0.1"))


@pytest.mark.parametrize("query", ["sslmode=disable", "ssl=false"])
async def test_disable_sends_everything_in_the_clear(server: TlsServer, query: str) -> None:
    assert not (await connect(url(server, query))).encrypted


@pytest.mark.parametrize(
    ("query", "user", "encrypted"),
    [
        ("", "anybody", True),
        ("sslmode=prefer", "anybody", True),
        ("sslmode=prefer", "plain", False),
        ("sslmode=allow", "anybody", False),
        ("sslmode=allow", "encrypted", True),
    ],
)
async def test_weaker_modes_take_what_they_can_get(server: TlsServer, query: str, user: str, encrypted: bool) -> None:
    assert await connect(url(server, query, user=user)) == Session(user, encrypted, "", "UTC")


@pytest.mark.parametrize(
    ("query", "user"), [("sslmode=disable", "encrypted"), ("sslmode=require&sslrootcert={}", "plain")]
)
async def test_what_the_server_does_not_offer_is_refused(server: TlsServer, query: str, user: str) -> None:
    with pytest.raises(DBAPIError, match=r"no pg_hba\.conf entry"):
        await connect(url(server, query.format(server.authority), user=user))


async def test_server_without_tls_is_used_by_prefer_and_refused_by_require(server: TlsServer) -> None:
    await server.switch_tls("off")
    try:
        assert not (await connect(url(server, "sslmode=prefer"))).encrypted
        with pytest.raises(ConnectionError, match="rejected SSL"):
            await connect(url(server, "sslmode=require"))
    finally:
        await server.switch_tls("on")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_scheme_connects(server: TlsServer, scheme: str) -> None:
    assert (await connect(f"{scheme}://anybody@localhost:{server.port}/postgres")).user == "anybody"


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://anybody@/postgres?host={folder}&port={port}",
        "postgresql://anybody@{encoded}:{port}/postgres",
        "postgresql:///postgres?host={folder}&port={port}&user=anybody",
        "postgresql:///?host={folder}&port={port}&user=anybody&dbname=postgres&sslmode=require",
    ],
)
async def test_unix_socket_connects(server: TlsServer, form: str) -> None:
    folder = str(server.folder)
    session = await connect(form.format(folder=folder, encoded=quote(folder, safe=""), port=server.port))
    assert session == Session("anybody", encrypted=False, application_name="", time_zone="UTC")


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://anybody@127.0.0.1:1,localhost:{port}/postgres",
        "postgresql://anybody@/postgres?host=127.0.0.1,localhost&port=1,{port}",
        "postgresql://anybody@localhost,127.0.0.1:{port}/postgres?port={port}&target_session_attrs=read-write",
    ],
)
async def test_the_first_of_several_hosts_that_answers_is_used(server: TlsServer, form: str) -> None:
    assert (await connect(form.format(port=server.port))).user == "anybody"


async def test_ipv6_address_connects(server: TlsServer) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("needs a loopback with IPv6")
    assert (await connect(url(server, "sslmode=disable", host="[::1]"))).user == "anybody"


async def test_name_and_switches_reach_the_session(server: TlsServer) -> None:
    given = "application_name=my%20tasks&options=endpoint%3Dep-cool-night%20-c%20TimeZone%3DAsia/Tokyo"
    session = await connect(url(server, given))
    assert session.application_name == "my tasks"
    assert session.time_zone == "UTC"  # what the application needs has precedence
    switched = "options=-c%20application_name%3Dswitched"
    assert (await connect(url(server, switched))).application_name == "switched"


async def test_every_parameter_of_the_common_consoles_at_once_connects(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = (
        "sslmode=require&channel_binding=require&pgbouncer=true&connect_timeout=15&pool_timeout=15&connection_limit=1"
        "&schema=public&options=endpoint%3Dep-cool-night&supa=base-pooler.x&sslnegotiation=postgres"
    )
    with trusted(server.authority, monkeypatch):
        assert (await connect(url(server, query))).encrypted


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
async def test_any_password_that_is_percent_encoded_logs_in(server: TlsServer, password: str) -> None:
    literal = password.replace("'", "''").replace("\\", "\\\\")
    await server.execute(f"ALTER ROLE with_password PASSWORD E'{literal}'")
    user = f"with_password:{quote(password, safe='')}"
    assert (await connect(url(server, "sslmode=disable", user=user))).user == "with_password"
    with pytest.raises(DBAPIError, match="password authentication failed"):
        await connect(url(server, "sslmode=disable", user=f"{user}x"))
