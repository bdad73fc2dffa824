import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from app.db import migrations
from app.settings import Settings
from tests.auth.better_auth.issuer import PASSWORD, UnusableNodeError
from tests.frontend import site
from tests.processes import Server, copied_project, free_port


@dataclass(frozen=True)
class Frontend:
    """The documentation's frontend, and the service behind it, both over sockets."""

    site: str
    service: str

    @contextmanager
    def signed_up(self, path: str = "/api/auth/sign-up/email") -> Iterator[httpx.Client]:
        """The browser of a user whom nobody has seen before, at an address whose sign-ups nobody has counted."""
        address = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
        headers = {"Origin": self.site, "X-Forwarded-For": address}
        with httpx.Client(base_url=self.site, headers=headers, timeout=30) as browser:
            person = {"email": f"u{secrets.token_hex(8)}@example.org", "name": "Someone", "password": PASSWORD}
            browser.post(path, json=person).raise_for_status()
            yield browser

    def create(self, token: str, title: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        path = f"{self.service}/api/me/tasks"
        httpx.post(path, headers=headers, json={"title": title}, timeout=30).raise_for_status()


@pytest.fixture(scope="session")
def frontend(create_database: Callable[[], str], settings: Settings) -> Iterator[Frontend]:
    """Both share one secret and one database, as far as it may be; in CI a missing Node is a failure."""
    url = create_database()
    migrations.upgrade(replace(settings, database_url=url))
    parts, secret, port = urlsplit(url), secrets.token_urlsafe(32), free_port()
    (socket,) = parse_qs(parts.query)["host"]
    address = f"http://127.0.0.1:{port}"
    node = {
        "DATABASE_URL": f"postgresql://{parts.username}@{quote(socket, safe='')}{parts.path}",
        "BETTER_AUTH_URL": address,
        "BETTER_AUTH_SECRET": secret,
    }
    with copied_project() as folder:
        service = Server(
            folder,
            DATABASE_URL=url,
            BETTER_AUTH_URL=address,
            BETTER_AUTH_SECRET=secret,
            ACCEPT_SESSION_JWT="true",
            CORS_ORIGINS=address,
        ).serving()
        try:
            site.build(service.url, address, **node)
        except UnusableNodeError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"Next.js cannot run: {error}")
        with site.serving(port, **node):
            yield Frontend(address, service.url)
