import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.development import postgres
from app.development.defaults import missing
from app.quotas import Limit
from app.settings import Settings, SettingsError

SECRET = secrets.token_urlsafe(32)


@pytest.fixture(autouse=True)
def _fresh_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def completed(given: Mapping[str, str]) -> Settings:
    return Settings.from_env({**given, **missing(given)})


def test_nothing_has_to_be_set() -> None:
    settings = completed({})
    assert settings.development
    assert settings.database_url == postgres.url()
    assert settings.secrets == ((Path(".dev") / "secret").read_text(),)
    assert (settings.log_format, settings.cors_origins, settings.shutdown_delay) == ("console", (), 0)
    assert (settings.rate_limit, settings.rate_limit_writes, settings.rate_limit_failed_auth) == (None, None, None)


def test_what_is_set_has_precedence_and_draws_no_secret() -> None:
    settings = completed({"BETTER_AUTH_SECRET": SECRET, "LOG_FORMAT": "json", "CORS_ORIGINS": "https://a.test"})
    assert (settings.secrets, settings.log_format, settings.development) == ((SECRET,), "json", True)
    assert settings.cors_origins == ("https://a.test",)
    assert completed({"BETTER_AUTH_SECRET": SECRET, "RATE_LIMIT": "5/second"}).rate_limit == Limit(5, 1)
    assert not Path(".dev").exists()


def test_secrets_in_rotation_draw_none_either() -> None:
    assert completed({"BETTER_AUTH_SECRETS": f"1:{SECRET}"}).secrets == (SECRET,)


def test_an_address_leaves_nothing_to_guess() -> None:
    assert missing({"DATABASE_URL": "postgresql://me@db/tasks"}) == {}
    assert missing({"DATABASE_URL_UNPOOLED": "postgresql://me@db/tasks"}) == {}
    assert not Path(".dev").exists()


def test_workers_that_inherit_the_defaults_find_nothing_missing() -> None:
    assert missing(missing({})) == {}


def test_without_the_embedded_database_the_address_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "available", lambda: False)
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        missing({"BETTER_AUTH_SECRET": SECRET})
