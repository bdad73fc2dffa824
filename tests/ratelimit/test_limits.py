"""What clients see of the limits, and what a limit never does to those whom it is not for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
from litestar import Litestar

from app.auth.mint import mint
from app.auth.tokens import TokenVerifier
from app.quotas import Limit
from app.ratelimit import limiter, memory
from app.settings import Settings
from tests.conftest import ORIGIN, SENSITIVE, client_of, random_user, running

TASKS: Final = "/api/me/tasks"
POLICIES: Final = '"user";q=5;w=60, "writes";q=2;w=60'


@pytest.fixture(params=[True, False], ids=["direct", "litestar"])
def few(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Little is served, and the clock stands still."""
    for module in (memory, limiter):
        monkeypatch.setattr(module, "monotonic", lambda: 1000.0)  # 40 s into a minute
    return replace(
        settings,
        direct_dispatch=request.param,
        rate_limit=Limit(5, 60),
        rate_limit_writes=Limit(2, 60),
        rate_limit_failed_auth=Limit(3, 60),
        trusted_proxies=("127.0.0.1",),
    )


@pytest.fixture
async def app(few: Settings) -> AsyncIterator[Litestar]:
    async with running(few) as app:
        yield app


@pytest.fixture
async def client(app: Litestar, settings: Settings, user_id: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, settings, user_id) as client:
        yield client


@asynccontextmanager
async def without_token(app: Litestar, address: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(address, 50000))  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


def good(settings: Settings, user_id: str) -> dict[str, str]:
    token = mint(settings, user_id, 600)
    SENSITIVE.add(token)
    return {"Authorization": f"Bearer {token}"}


async def statuses(client: httpx.AsyncClient, times: int, **headers: str) -> list[int]:
    return [(await client.get(TASKS, headers=headers)).status_code for _ in range(times)]


async def test_answers_say_what_is_left_until_there_is_nothing(client: httpx.AsyncClient) -> None:
    for left in (4, 3, 2, 1):
        answer = await client.get(TASKS)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"user";q=5;w=60'
        assert answer.headers["ratelimit"] == f'"user";r={left};t=21'
    assert (await client.head(TASKS)).headers["ratelimit"] == '"user";r=0;t=21'
    answer = await client.get(TASKS)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "21"
    assert answer.headers["ratelimit"] == '"user";r=0;t=21'
    assert answer.headers["cache-control"] == "no-store"


async def test_writes_count_twice_and_reads_go_on_where_writes_do_not(client: httpx.AsyncClient) -> None:
    for left in (1, 0):
        answer = await client.post(TASKS, json={"title": "t"})
        assert answer.status_code == 201
        assert answer.headers["ratelimit-policy"] == POLICIES
        assert answer.headers["ratelimit"] == f'"user";r={left + 3};t=21, "writes";r={left};t=21'
    answer = await client.post(TASKS, json={"title": "t"})
    assert answer.status_code == 429
    assert answer.headers["ratelimit"] == '"user";r=2;t=21, "writes";r=0;t=21'
    assert (await client.get(TASKS)).json()[1:] != []
    assert len((await client.get(TASKS)).json()) == 2


async def test_each_user_has_their_own_limit_whatever_token_they_use(
    app: Litestar, client: httpx.AsyncClient, settings: Settings, user_id: str
) -> None:
    assert await statuses(client, 6) == [200] * 5 + [429]
    assert await statuses(client, 1, **good(replace(settings), user_id)) == [429]
    async with client_of(app, settings, random_user()) as other:
        assert await statuses(other, 1) == [200]


async def test_the_body_of_a_refused_request_is_not_read(client: httpx.AsyncClient) -> None:
    read: list[int] = []

    async def body(number: int) -> AsyncIterator[bytes]:
        read.append(number)
        yield b'{"title": "t"}'

    headers = {"Content-Type": "application/json"}
    answers = [await client.post(TASKS, content=body(number), headers=headers) for number in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert read == [0, 1]


async def test_a_refused_token_is_401_before_anything_is_429_and_429_before_403(client: httpx.AsyncClient) -> None:
    assert [(await client.get("/api/somebody-else/tasks")).status_code for _ in range(6)] == [403] * 5 + [429]
    assert await statuses(client, 1, Authorization="Bearer a.b.c") == [401]


async def test_what_needs_no_token_is_never_limited(client: httpx.AsyncClient) -> None:
    await statuses(client, 6)
    for path in ("/", "/health", "/ready", "/docs", "/openapi.json"):
        for _ in range(6):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
    for _ in range(6):
        assert (await client.options(TASKS)).status_code == 204


async def test_scripts_of_other_origins_can_read_the_headers(client: httpx.AsyncClient) -> None:
    for _ in range(6):
        answer = await client.get(TASKS, headers={"Origin": ORIGIN})
        exposed = set(answer.headers["access-control-expose-headers"].replace(" ", "").split(","))
        assert exposed >= {"RateLimit", "RateLimit-Policy", "Retry-After"}
    assert answer.status_code == 429


async def test_an_address_whose_tokens_are_refused_is_told_to_wait(app: Litestar) -> None:
    async with without_token(app) as nobody:
        for left in (2, 1, 0):
            answer = await nobody.get(TASKS)
            assert (answer.status_code, answer.headers["ratelimit"]) == (401, f'"failed-auth";r={left};t=21')
            assert answer.headers["ratelimit-policy"] == '"failed-auth";q=3;w=60'
        for headers in ({}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic x"}):
            for _ in range(2):
                answer = await nobody.get(TASKS, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
                assert 1 <= int(answer.headers["retry-after"]) <= 21
                assert "www-authenticate" not in answer.headers


async def test_a_valid_token_is_served_at_an_address_that_is_told_to_wait(app: Litestar, settings: Settings) -> None:
    async with without_token(app) as shared:
        assert await statuses(shared, 5) == [401] * 3 + [429] * 2
        for _ in range(3):  # none of them has been seen before
            assert await statuses(shared, 2, **good(settings, random_user())) == [200, 200]
        assert await statuses(shared, 1) == [429]


async def test_good_tokens_never_count_against_their_address(app: Litestar, settings: Settings) -> None:
    async with without_token(app) as shared:
        for _ in range(5):
            assert await statuses(shared, 2, **good(settings, random_user())) == [200, 200]
        assert await statuses(shared, 4) == [401] * 3 + [429]


async def test_a_token_that_is_refused_over_and_over_is_not_verified_over_and_over(
    app: Litestar, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verify = TokenVerifier.verify

    async def counted(self: TokenVerifier, token: str) -> Any:
        verified.append(token)
        return await verify(self, token)

    monkeypatch.setattr(TokenVerifier, "verify", counted)
    dead = {"Authorization": f"Bearer {mint(settings, 'x', -60)}"}
    async with without_token(app) as client:
        assert await statuses(client, 50, **dead) == [401] * 3 + [429] * 47
        assert len(verified) == 4
        now = 1000.0 + limiter.REMEMBERED_SECONDS
        monkeypatch.setattr(limiter, "monotonic", lambda: now)
        assert await statuses(client, 2, **dead) == [429] * 2
        assert len(verified) == 5
        monkeypatch.setattr(limiter, "REMEMBERED", 2)
        await statuses(client, 1, Authorization="Bearer x.y.z")
        await statuses(client, 1, Authorization="Bearer x.y.z2")
        await statuses(client, 1, **dead)
        assert len(verified) == 8


async def test_addresses_behind_a_trusted_proxy_are_told_apart_and_others_cannot_choose_theirs(app: Litestar) -> None:
    async with without_token(app) as proxy, without_token(app, "203.0.113.9") as stranger:
        for number in range(3):
            forwarded = {"X-Forwarded-For": f"6.6.6.{number}, 198.51.100.1"}
            assert await statuses(proxy, 1, **forwarded) == [401]
        assert await statuses(proxy, 1, **{"X-Forwarded-For": "198.51.100.1"}) == [429]
        assert await statuses(proxy, 1, **{"X-Forwarded-For": "198.51.100.2"}) == [401]
        for number in range(3):
            assert await statuses(stranger, 1, **{"X-Forwarded-For": f"6.6.6.{number}"}) == [401]
        assert await statuses(stranger, 1, **{"X-Forwarded-For": "6.6.6.9", "Forwarded": "for=6.6.6.9"}) == [429]


async def test_a_limit_that_is_off_neither_counts_nor_speaks(settings: Settings) -> None:
    user, token = random_user(), "Bearer a.b.c"
    off = replace(settings, rate_limit=None, rate_limit_writes=None, rate_limit_failed_auth=None)
    only_writes = replace(settings, rate_limit=None, rate_limit_writes=Limit(1, 60))
    async with running(off) as app, client_of(app, settings, user) as client:
        for answer in (await client.get(TASKS), await client.get(TASKS, headers={"Authorization": token})):
            assert not [name for name in answer.headers if name.startswith("ratelimit")]
    async with running(only_writes) as app, client_of(app, settings, user) as client:
        assert "ratelimit" not in (await client.get(TASKS)).headers
        answers = [await client.post(TASKS, json={"title": "t"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 429]
        assert answers[0].headers["ratelimit-policy"] == '"writes";q=1;w=60'
