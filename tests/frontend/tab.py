"""A page of the site in Chromium, in which somebody is signed in."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page, Request, Route

from tests.frontend.conftest import Frontend


@dataclass
class Tab:
    page: Page
    frontend: Frontend
    requests: list[Request] = field(default_factory=list)

    def saw(self, request: Request) -> None:
        self.requests.append(request)

    async def run(self, expression: str) -> Any:
        """Evaluate code that sees what the documented modules export."""
        script = f"async () => {{ const {{ api, sameOrigin, authClient, ...lib }} = site; return {expression}; }}"
        return await self.page.evaluate(script)

    async def sign_up(self) -> None:
        email = f"u{secrets.token_hex(8)}@example.org"
        person = {"email": email, "name": "Someone", "password": secrets.token_hex(8)}
        answer = await self.run(f"await authClient.signUp.email({json.dumps(person)})")
        assert answer["error"] is None

    @property
    def token_requests(self) -> int:
        return sum(request.url == f"{self.frontend.site}/api/auth/token" for request in self.requests)

    @property
    def calls(self) -> list[Request]:
        """Those of the API, wherever they went."""
        return [request for request in self.requests if "/api/me/" in request.url]

    async def refuse(self, times: int) -> None:
        """Let the service get a token that it refuses, that many times."""
        left = times

        async def spoil(route: Route) -> None:
            nonlocal left
            headers = await route.request.all_headers()
            if left > 0 and route.request.method != "OPTIONS":
                left -= 1
                headers["authorization"] = headers["authorization"][:-6] + "AAAAAA"
            await route.continue_(headers=headers)

        await self.page.route(f"{self.frontend.service}/**", spoil)


@asynccontextmanager
async def opened(browser: Browser, frontend: Frontend) -> AsyncIterator[Tab]:
    address = ".".join(str(secrets.randbelow(256)) for _ in range(4))
    context = await browser.new_context()
    tab = Tab(await context.new_page(), frontend)
    # sign-ups are counted by address
    await tab.page.route(f"{frontend.site}/api/auth/sign-up/**", lambda route: forward(route, address))
    context.on("request", tab.saw)
    await tab.page.goto(frontend.site)
    await tab.page.wait_for_function("window.site")
    await tab.sign_up()
    tab.requests.clear()
    yield tab
    await context.close()


async def forward(route: Route, address: str) -> None:
    await route.continue_(headers={**await route.request.all_headers(), "x-forwarded-for": address})
