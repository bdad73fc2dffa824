import getpass
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.url import Address, parse
from app.settings import SettingsError
from tests.db.tls import Authority

NEON = "postgresql://me:secret@ep-cool-night-a1b2c3-pooler.eu-central-1.aws.neon.tech/tasks"
DIRECT = "postgresql://me:secret@ep-cool-night-a1b2c3.eu-central-1.aws.neon.tech/tasks"


def read(text: str) -> Address:
    return parse(text, connect_timeout=4.0)


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_every_scheme_means_asyncpg(scheme: str) -> None:
    url = read(f"{scheme}://me:secret@db.example.org:5433/tasks").url
    assert url.render_as_string(hide_password=False) == "postgresql+asyncpg://me:secret@db.example.org:5433/tasks"


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=require&channel_binding=require",
        "sslmode=require&options=endpoint%3Dep-cool-night-a1b2c3",
        "pgbouncer=true&connect_timeout=15&pool_timeout=15",
        "schema=public&connection_limit=1&target_session_attrs=any",
        "sslmode=verify-full&sslrootcert=system&application_name=tasks",
        "ssl=true&supa=base-pooler.x",
        "unknown=1&unknown=2",
    ],
)
def test_what_asyncpg_does_not_know_never_reaches_it(query: str) -> None:
    address = read(f"{NEON}?{query}")
    assert not address.url.query
    known = {"host", "port", "timeout", "server_settings", "ssl", "target_session_attrs"}
    assert address.connect_args.keys() <= known
    assert address.connect_args["server_settings"].keys() <= {"timezone", "application_name"}


@pytest.mark.parametrize("mode", ["require", "verify-full", "true"])
@pytest.mark.parametrize("key", ["sslmode", "ssl"])
def test_required_encryption_verifies_certificate_and_name(key: str, mode: str) -> None:
    context = read(f"{NEON}?{key}={mode}").connect_args["ssl"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_authority_of_ones_own_may_be_as_simple_as_libpq_allows(tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    file.write_bytes(Authority("Authority of the tests").pem)
    context = read(f"{NEON}?sslmode=require&sslrootcert={file}").connect_args["ssl"]
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    [authority] = context.get_ca_certs()
    assert authority["subject"] == ((("commonName", "Authority of the tests"),),)


@pytest.mark.parametrize("query", ["channel_binding=require", "sslrootcert=system"])
def test_parameters_about_trust_require_a_verified_server(query: str) -> None:
    context = read(f"{NEON}?{query}").connect_args["ssl"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("query", "value"), [("sslmode=disable", False), ("sslmode=allow", "allow"), ("sslmode=prefer", "prefer")]
)
def test_weaker_modes_are_asyncpgs_own(query: str, value: object) -> None:
    assert read(f"{NEON}?{query}").connect_args["ssl"] == value


def test_unset_mode_is_left_to_asyncpg() -> None:
    assert "ssl" not in read(NEON).connect_args


@pytest.mark.parametrize(
    ("text", "pooled"),
    [
        (NEON, True),
        (DIRECT, False),
        (f"{DIRECT}?pgbouncer=true", True),
        (f"{DIRECT}?pgbouncer=false", False),
        (f"{NEON}?pgbouncer=false", False),
        ("postgresql://me@/tasks?host=db&port=6432", True),
        ("postgresql://me@db:6432/tasks", True),
        ("postgresql://me@db:5432/tasks", False),
        ("postgresql://me@aws-0-eu-central-1.pooler.example.org:6543/tasks", True),
        ("postgresql://me:-pooler.@db/tasks", False),
    ],
)
def test_pooler_is_recognised(text: str, pooled: bool) -> None:
    assert read(text).pooled is pooled


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [("", 4), ("15", 15), ("0", 4), ("-1", 4), ("999", 60)],
)
def test_connecting_has_a_limit(timeout: str, seconds: float) -> None:
    assert read(f"{DIRECT}?connect_timeout={timeout}").connect_args["timeout"] == seconds


def test_connections_speak_utc_and_say_who_they_are() -> None:
    assert read(DIRECT).connect_args["server_settings"] == {"timezone": "UTC"}
    named = read(f"{DIRECT}?application_name=my%20tasks").connect_args["server_settings"]
    assert named == {"timezone": "UTC", "application_name": "my tasks"}


@pytest.mark.parametrize(
    ("text", "hosts", "ports"),
    [
        ("postgresql://me@/tasks?host=/var/run/postgresql&port=5433", ["/var/run/postgresql"], [5433]),
        ("postgresql://me@%2Fvar%2Frun%2Fpostgresql/tasks", ["/var/run/postgresql"], [5432]),
        ("postgresql://me@db/tasks", ["db"], [5432]),
        ("postgresql://me@db/tasks?port=5433", ["db"], [5433]),
        ("postgresql://me@one/tasks?host=two", ["two"], [5432]),
        ("postgresql://me@[2001:db8::1]:5433/tasks", ["2001:db8::1"], [5433]),
        ("postgresql://me@/tasks?host=2001:db8::1", ["2001:db8::1"], [5432]),
        ("postgresql://me@one:5433,[::1],three/tasks", ["one", "::1", "three"], [5433, 5432, 5432]),
        ("postgresql://me@/tasks?host=one,/run&port=5433,5434", ["one", "/run"], [5433, 5434]),
        ("postgresql://me@one,two/tasks?port=5433", ["one", "two"], [5433, 5433]),
    ],
)
def test_hosts_are_read_as_libpq_reads_them(text: str, hosts: list[str], ports: list[int]) -> None:
    arguments = read(text).connect_args
    assert (arguments["host"], arguments["port"]) == (hosts, ports)


def test_user_password_and_database_may_stand_in_the_query() -> None:
    url = read("postgresql://db/?user=me&password=p%40ss&dbname=tasks").url
    assert (url.username, url.password, url.database) == ("me", "p@ss", "tasks")
    url = read("postgresql://me:secret@db/tasks?user=other&password=other&dbname=other").url
    assert (url.username, url.password, url.database) == ("me", "secret", "tasks")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(name=TEXT, password=st.just("") | TEXT, database=TEXT)
def test_any_name_and_password_survive(name: str, password: str, database: str) -> None:
    user = f"{quote(name, safe='')}:{quote(password, safe='')}"
    address = read(f"postgres://{user}@db/{quote(database, safe='')}?sslmode=disable")
    assert (address.url.username, address.url.password or "", address.url.database) == (name, password, database)
    assert address.connect_args["host"] == ["db"]


@pytest.mark.parametrize(
    "text",
    [
        "tasks",
        "mysql://me:secret@db/tasks",
        "https://me:secret@db/tasks",
        "postgresql://me:secret@db",
        "postgresql://me:secret@db/",
        "postgresql:///tasks",
        "postgresql://me:secret@db:port/tasks",
        "postgresql://me:secret@db:0/tasks",
        "postgresql://me:secret@db:65536/tasks",
        "postgresql://me:secret@one,/tasks",
        "postgresql://me:secret@/tasks?host=one,two&port=1,2,3",
        "postgresql://me:p@secret@db/tasks",
        "postgresql://me:secret@d b/tasks",
        "postgresql://me:secret%00@db/tasks",
        "postgresql://me:secret\udcff@db/tasks",
        "postgresql://me:secret@/tasks?host=/run&port=none",
        "postgresql://me:secret@db/tasks?sslmode=no-verify",
        "postgresql://me:secret@db/tasks?sslmode=require&sslrootcert=/nowhere/root.crt",
        "postgresql://me:secret@db/tasks?sslmode=require&sslrootcert=%00",
        "postgresql://me:secret@db/tasks?sslrootcert=/nowhere/root.crt",
        "postgresql://me:secret@db/tasks?sslmode=prefer&sslrootcert=system",
        "postgresql://me:secret@db/tasks?sslmode=disable&channel_binding=require",
        "postgresql://me:secret@db/tasks?sslcert=client.crt&sslkey=client.key",
        "postgresql://me:secret@db/tasks?service=tasks",
        "postgresql://me:secret@db/tasks?schema=tasks",
        "postgresql://me:secret@db/tasks?target_session_attrs=secret",
        "postgresql://me:secret@db/tasks?sslmode=secret",
        "postgresql://me:secret@db/tasks?connect_timeout=soon",
    ],
)
@pytest.mark.parametrize("variable", ["DATABASE_URL", "DATABASE_URL_UNPOOLED"])
def test_wrong_address_is_one_sentence_without_its_password(text: str, variable: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(text, connect_timeout=4.0, variable=variable)
    message = str(refused.value)
    assert message.startswith(f"{variable} ")
    assert message.endswith(".")
    assert "\n" not in message
    assert "secret" not in message


@given(
    st.text()
    | st.builds("postgresql://{}".format, st.text())
    | st.builds("postgresql://me@db:{}/tasks?{}={}".format, st.text(), st.text(), st.text())
)
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    try:
        assert read(text).url.drivername == "postgresql+asyncpg"
    except SettingsError as refused:
        assert str(refused).startswith("DATABASE_URL ")  # noqa: PT017 - some texts are addresses


def test_user_without_a_name_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(getpass, "getuser", nameless)
    with pytest.raises(SettingsError, match=r"^DATABASE_URL must name a user\.$"):
        read("postgresql://db/tasks")
    assert read(DIRECT).url.username == "me"
