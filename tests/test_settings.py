import hashlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.quotas import Limit
from app.settings import EMBEDDED_DATABASE_URL, Settings, SettingsError, get_settings

# the same in every process, for they stand in the names of tests
SECRET, OLD = (hashlib.sha256(text).hexdigest() for text in (b"new", b"old"))
PRODUCTION = {"DATABASE_URL": "postgresql://me:hushhush@db/tasks", "BETTER_AUTH_SECRET": SECRET}
VARIABLES = [field.name.upper() for field in fields(Settings) if field.name != "development"]


def test_address_and_secret_are_all_that_production_needs() -> None:
    settings = Settings.from_env(PRODUCTION)
    assert settings == Settings(database_url=PRODUCTION["DATABASE_URL"], better_auth_secret=SECRET)
    assert not settings.development


def test_development_is_where_the_database_is_the_embedded_one() -> None:
    assert Settings.from_env({**PRODUCTION, EMBEDDED_DATABASE_URL: PRODUCTION["DATABASE_URL"]}).development
    for variables in ({EMBEDDED_DATABASE_URL: "postgresql://another@db/tasks"}, {"DEVELOPMENT": "true"}):
        assert not Settings.from_env({**PRODUCTION, **variables}).development


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("JWT_ISSUER", "https://auth.example.org", "https://auth.example.org"),
        ("JWT_AUDIENCE", "tasks, other", ("tasks", "other")),
        ("JWT_ALGORITHM", "EdDSA,HS256", ("EdDSA", "HS256")),
        ("BETTER_AUTH_URL", "https://auth.example.org/", "https://auth.example.org"),
        ("ACCEPT_SESSION_JWT", "true", True),
        ("CHECK_USER", "1", True),
        ("DATABASE_POOL_SIZE", "7", 7),
        ("DATABASE_TIMEOUT", "2.5", 2.5),
        ("DATABASE_CONNECT_TIMEOUT", "3", 3.0),
        ("DATABASE_STATEMENTS", "unnamed", "unnamed"),
        ("DATABASE_URL_UNPOOLED", "postgresql://me@direct/tasks", "postgresql://me@direct/tasks"),
        ("MIGRATE_ON_START", "true", True),
        ("LIST_CACHE_BYTES", "0", 0),
        ("MAX_BODY_BYTES", "1024", 1024),
        ("PRIORITY_CASE", "lower", "lower"),
        ("LIST_ENVELOPE", "tasks", "tasks"),
        ("LIST_ENVELOPE", "_" + "a" * 30 + "9", "_" + "a" * 30 + "9"),
        ("CORS_ORIGINS", "*", ("*",)),
        ("CORS_ORIGINS", "https://a.example.org/, http://localhost:3000", ("https://a.example.org", "http://localhost:3000")),
        ("RATE_LIMIT", "10/second", Limit(10, 1)),
        ("RATE_LIMIT", "off", None),
        ("RATE_LIMIT_WRITES", "5000/hour", Limit(5000, 3600)),
        ("RATE_LIMIT_FAILED_AUTH", "100/day", Limit(100, 86400)),
        ("RATE_LIMIT_URL", "redis://:hushhush@cache:6380/1", "redis://:hushhush@cache:6380/1"),
        ("RATE_LIMIT_URL", "valkeys://[::1]", "valkeys://[::1]"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1,unix", ("10.0.0.0/8", "::1", "unix")),
        ("CORS_ORIGINS", "https://*.example.org, capacitor://localhost", ("https://*.example.org", "capacitor://localhost")),
        ("CORS_ORIGINS", "HTTPS://App.Example.org:443/,http://a:80", ("https://app.example.org", "http://a")),
        ("CORS_ORIGINS", "https://*.A.b:443", ("https://*.a.b",)),
        ("CORS_ORIGINS", "https://a:4430,http://a:443,http://[::1]:8080", ("https://a:4430", "http://a:443", "http://[::1]:8080")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1]:4318/", "http://[::1]:4318/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://a/v1/traces?key=1", "https://a/v1/traces?key=1"),
        ("SENTRY_DSN", "https://key@sentry.example.org/base/42", "https://key@sentry.example.org/base/42"),
        ("LOG_LEVEL", " debug\n", "debug"),
        ("LOG_FORMAT", "console", "console"),
        ("LOG_FORMAT", "", "json"),
        ("BETTER_AUTH_SECRETS", f"2:{SECRET}, 1:{OLD}", (SECRET, OLD)),
    ],
)  # fmt: skip
def test_variable_sets_its_field(variable: str, text: str, value: object) -> None:
    assert getattr(Settings.from_env({**PRODUCTION, variable: text}), variable.lower()) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("BETTER_AUTH_SECRET", "hushhush"),
        ("BETTER_AUTH_SECRET", "ä" * 15),
        ("BETTER_AUTH_SECRET", "hushhush" * 4),
        ("BETTER_AUTH_SECRET", "change-me-hushhush-change-me-hushhush"),
        ("BETTER_AUTH_SECRET", "your_secret_goes_here_hushhush_1234567890"),
        ("BETTER_AUTH_SECRETS", SECRET),
        ("BETTER_AUTH_SECRETS", "1:hushhush"),
        ("BETTER_AUTH_SECRETS", f"1:{SECRET},"),
        ("JWT_ALGORITHM", "none"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "many"),
        ("DATABASE_POOL_SIZE", "2.5"),
        ("DATABASE_TIMEOUT", "0"),
        ("DATABASE_TIMEOUT", "nan"),
        ("DATABASE_TIMEOUT", "inf"),
        ("DATABASE_CONNECT_TIMEOUT", "61"),
        ("DATABASE_STATEMENTS", "Named"),
        ("MIGRATE_ON_START", "maybe"),
        ("LIST_CACHE_BYTES", "-1"),
        ("MAX_BODY_BYTES", "1023"),
        ("PRIORITY_CASE", "title"),
        ("LIST_ENVELOPE", "a" * 33),
        ("LIST_ENVELOPE", "9tasks"),
        ("LIST_ENVELOPE", "täsks"),
        ("LIST_ENVELOPE", "tasks' || (SELECT 1) || '"),
        ("LIST_ENVELOPE", 'a":1,"b'),
        ("CORS_ORIGINS", "app.example.org"),
        ("CORS_ORIGINS", "*, https://app.example.org"),
        ("CORS_ORIGINS", "http://*.example.org"),
        ("CORS_ORIGINS", "https://*.org"),
        ("CORS_ORIGINS", "https://*example.org"),
        ("CORS_ORIGINS", "https://*.*.example.org"),
        ("CORS_ORIGINS", "https://app.*.example.org"),
        ("CORS_ORIGINS", "https://*.example.org."),
        ("CORS_ORIGINS", "https://*"),
        ("CORS_ORIGINS", "http://localhost:*"),
        ("CORS_ORIGINS", "https://müller.example"),
        ("CORS_ORIGINS", "https://me:hushhush@app.example.org"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "https://a.example.org https://b.example.org"),
        ("CORS_ORIGINS", "https://app.example.org/path"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "600"),
        ("RATE_LIMIT", "600/fortnight"),
        ("RATE_LIMIT_WRITES", "-1/minute"),
        ("RATE_LIMIT_FAILED_AUTH", "1000000000/minute"),
        ("RATE_LIMIT_URL", "http://cache:6379"),
        ("RATE_LIMIT_URL", "redis://:hushhush@:6379"),
        ("RATE_LIMIT_URL", "redis://cache:hushhush"),
        ("RATE_LIMIT_URL", "redis://cache/hushhush"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy.example.org"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://me:hushhush@a/v1/traces"),
        ("SENTRY_DSN", "https://sentry.example.org/hushhush"),
        ("SENTRY_DSN", "hushhush"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_wrong_value_is_one_sentence_that_names_the_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({**PRODUCTION, variable: text})
    message = str(refused.value)
    assert message.startswith(f"{variable} is not usable: ")
    assert "\n" not in message
    assert "hushhush" not in message


@pytest.mark.parametrize("variable", VARIABLES)
@given(text=st.text(st.characters()))
def test_any_text_is_a_value_or_a_sentence(variable: str, text: str) -> None:
    try:
        Settings.from_env({**PRODUCTION, variable: text})
    except SettingsError as refused:
        assert variable in str(refused)  # noqa: PT017 - most texts are values


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({"BETTER_AUTH_URL": "https://a.example.org"}, "https://a.example.org/api/auth/jwks"),
        ({"BETTER_AUTH_URL": "https://a.example.org/auth/"}, "https://a.example.org/auth/jwks"),
        (
            {"BETTER_AUTH_URL": "https://a.example.org", "JWKS_URL": "https://b.example.org/k"},
            "https://b.example.org/k",
        ),
        ({"JWKS_URL": "https://b.example.org/k", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a"}, "https://b.example.org/k"),
        ({}, None),
    ],
)
def test_the_keys_are_where_better_auth_serves_them_or_where_the_settings_say(
    variables: dict[str, str], where: str | None
) -> None:
    assert Settings.from_env({**PRODUCTION, **variables}).keys_url == where


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"JWKS_URL": "https://b.example.org/k"}, "JWKS_URL"),
        ({"JWKS_SOURCE": "database", "JWT_ISSUER": "i"}, "JWKS_SOURCE"),
        ({"JWT_ALGORITHM": "EdDSA"}, "JWT_ALGORITHM"),
        (
            {"BETTER_AUTH_SECRET": "", "BETTER_AUTH_URL": "https://a.example.org", "JWT_ALGORITHM": "HS256"},
            "JWT_ALGORITHM",
        ),
        ({"BETTER_AUTH_URL": "auth.example.org"}, "BETTER_AUTH_URL"),
        ({"BETTER_AUTH_URL": "https://u:p@auth.example.org"}, "BETTER_AUTH_URL"),
    ],
)
def test_keys_that_could_verify_nothing_are_refused(variables: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.from_env({**PRODUCTION, **variables})


def test_better_auths_own_keys_make_the_secret_optional() -> None:
    given = {**PRODUCTION, "BETTER_AUTH_SECRET": "", "BETTER_AUTH_URL": "https://a.example.org/base"}
    settings = Settings.from_env(given)
    assert settings.secrets == ()
    assert settings.issuer == "https://a.example.org"
    assert settings.audiences == {"https://a.example.org"}


def test_production_without_a_secret_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^BETTER_AUTH_SECRET is not set"):
        Settings.from_env({**PRODUCTION, "BETTER_AUTH_SECRET": " "})


def test_either_variable_for_secrets_is_enough_and_the_list_comes_first() -> None:
    listed = {**PRODUCTION, "BETTER_AUTH_SECRET": "", "BETTER_AUTH_SECRETS": f"2:{OLD}"}
    assert Settings.from_env(PRODUCTION).secrets == (SECRET,)
    assert Settings.from_env(listed).secrets == (OLD,)
    assert Settings.from_env({**listed, "BETTER_AUTH_SECRET": SECRET}).secrets == (OLD, SECRET)


def test_representation_shows_no_secret_and_no_password() -> None:
    more = {
        "BETTER_AUTH_SECRETS": f"1:{OLD}",
        "DATABASE_URL_UNPOOLED": "unpooled-url",
        "RATE_LIMIT_URL": "redis://:counting@cache",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://a/counting",
        "SENTRY_DSN": "https://counting@a/1",
    }
    shown = repr(Settings.from_env({**PRODUCTION, **more}))
    assert "log_level='info'" in shown
    for hidden in (SECRET, OLD, "hushhush", "unpooled-url", "counting"):
        assert hidden not in shown


@pytest.mark.parametrize("case", ["upper", "lower"])
def test_priorities_have_names_in_the_order_of_their_numbers(case: str) -> None:
    names = Settings.from_env({**PRODUCTION, "PRIORITY_CASE": case}).priority_names
    assert names == tuple(getattr(name, case)() for name in ("low", "medium", "high"))


def test_without_an_address_the_start_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set\.$"):
        Settings.from_env({"BETTER_AUTH_SECRET": SECRET})


def test_direct_address_alone_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL_UNPOOLED is set, but DATABASE_URL is not"):
        Settings.from_env({"DATABASE_URL_UNPOOLED": "postgresql://me@direct/tasks", "BETTER_AUTH_SECRET": SECRET})


class TestProcess:
    """Settings of a process in a folder of its own, with no variable set."""

    @pytest.fixture(autouse=True)
    def _fresh(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.chdir(tmp_path)
        for variable in (*VARIABLES, EMBEDDED_DATABASE_URL):
            monkeypatch.delenv(variable, raising=False)
        get_settings.cache_clear()
        yield
        get_settings.cache_clear()

    def test_environment_has_precedence_over_the_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path(".env").write_text("DATABASE_URL=postgresql://file@db/tasks\nLOG_LEVEL=error\n")
        monkeypatch.setenv("DATABASE_URL", "postgresql://environment@db/tasks")
        monkeypatch.setenv("BETTER_AUTH_SECRET", SECRET)
        settings = Settings.from_env()
        assert (settings.database_url, settings.log_level) == ("postgresql://environment@db/tasks", "error")

    def test_file_that_is_no_text_is_refused(self) -> None:
        Path(".env").write_bytes("LOG_LEVEL=error".encode("utf-16"))
        with pytest.raises(SettingsError, match=r"^\.env "):
            Settings.from_env()

    def test_the_environment_is_read_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable, text in PRODUCTION.items():
            monkeypatch.setenv(variable, text)
        settings = get_settings()
        monkeypatch.setenv("LOG_LEVEL", "error")
        assert get_settings() is settings

    def test_reading_writes_nothing(self) -> None:
        with pytest.raises(SettingsError):
            get_settings()
        assert not list(Path().iterdir())
