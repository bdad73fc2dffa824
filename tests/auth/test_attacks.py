"""Everything in `attacks` is refused alike by the whole application, and what it is made from is accepted."""

import base64
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import chain
from typing import Any

import httpx
import pytest
from litestar import Litestar

from app import logs
from app.settings import Settings
from tests.auth import attacks
from tests.auth.attacks import BRIDGE, ORIGIN, SECRET, VICTIM, access, bridge, genuine, key, session_claims
from tests.auth.issuer import ALGORITHMS, Issuer, issuing, segment
from tests.conftest import running

TASKS = "/api/me/tasks"
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "HS256 only": {"better_auth_url": None, "jwks_url": None},
    "asymmetric only": {"better_auth_secret": ""},
    "both": {},
    "both and session JWTs": {"accept_session_jwt": True},
}
REFUSAL = {
    "type": "about:blank",
    "title": "Unauthorized",
    "status": 401,
    "detail": "Invalid or missing token",
    "message": "Invalid or missing token",
    "code": "unauthorized",
    "errors": [],
}

INVALID = 'Bearer error="invalid_token"'

Headers = list[tuple[bytes, bytes]]


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    """Publishes a key for each algorithm, and one that it should have kept for itself."""
    async with issuing(*map(key, ALGORITHMS)) as issuer:
        issuer.keys.append(attacks.OCT_KEY)
        yield issuer


@pytest.fixture(scope="module")
async def applications(settings: Settings, issuer: Issuer) -> AsyncIterator[Mapping[str, Litestar]]:
    """The application in every configuration, and telling the operator all it can tell."""
    full = replace(
        settings,
        better_auth_secret=SECRET,
        better_auth_url=ORIGIN,
        jwks_url=f"{issuer.url}/api/auth/jwks",
        log_level="debug",
    )
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(running(replace(full, **changes)))
            for name, changes in CONFIGURATIONS.items()
        }
    logs.configure(settings)


def client_of(app: Litestar) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
    return httpx.AsyncClient(transport=transport, base_url="http://testserver")


def authorization(*values: str) -> Headers:
    return [(b"Authorization", value.encode("utf-8", "surrogatepass")) for value in values]


def assert_refused(answer: httpx.Response, challenge: str, case: str) -> None:
    assert answer.status_code == 401, case
    assert {**answer.json(), "request_id": ...} == {**REFUSAL, "request_id": ...}
    assert answer.headers.get_list("WWW-Authenticate") == [challenge]


def assert_quiet(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, *known: str) -> None:
    """Nothing failed, and nothing that lets anybody in was written down."""
    said = "".join([*capsys.readouterr(), caplog.text])
    assert "token refused" in said
    assert "Traceback" not in said
    assert "unhandled" not in said
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    for token in (SECRET, *known):
        for part in (token, token.rpartition(".")[2]):
            assert len(part) < 20 or part not in said


def test_the_suite_is_as_large_as_it_claims() -> None:
    names, tokens = zip(*chain.from_iterable(group() for group in attacks.GROUPS), strict=True)
    assert len(set(names)) == len(names)
    assert len(set(tokens)) + len(PLACES) >= 150


@pytest.mark.parametrize("group", attacks.GROUPS, ids=lambda group: group.__name__)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
async def test_forged_and_misplaced_tokens_are_refused_like_any_other(
    applications: Mapping[str, Litestar],
    configuration: str,
    group: Callable[[], attacks.Table],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    accepted = []
    async with client_of(applications[configuration]) as client:
        for name, token in group():
            answer = await client.get(TASKS, headers=authorization(f"Bearer {token}"))
            if answer.status_code == 200:
                accepted.append(name)
                continue
            assert_refused(answer, INVALID, name)
            assert_quiet(capsys, caplog, token)
    assert accepted == []


PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "nowhere": lambda _: {},
    "in a cookie": lambda token: {"headers": {"Cookie": f"token={token}"}},
    "in Better Auth's session cookie": lambda token: {"headers": {"Cookie": f"better-auth.session_token={token}"}},
    "in Better Auth's cookie cache": lambda token: {"headers": {"Cookie": f"better-auth.session_data={token}"}},
    "in its secure cookie cache": lambda token: {"headers": {"Cookie": f"__Secure-better-auth.session_data={token}"}},
    "in the parameter access_token": lambda token: {"params": {"access_token": token}},
    "in the parameter token": lambda token: {"params": {"token": token}},
    "in the parameter jwt": lambda token: {"params": {"jwt": token}},
    "in the parameter Authorization": lambda token: {"params": {"Authorization": f"Bearer {token}"}},
    "in a form": lambda token: {"data": {"access_token": token}, "method": "POST"},
    "in a body": lambda token: {"json": {"title": "x", "access_token": token}, "method": "POST"},
    "in X-Authorization": lambda token: {"headers": {"X-Authorization": f"Bearer {token}"}},
    "in X-Forwarded-Authorization": lambda token: {"headers": {"X-Forwarded-Authorization": f"Bearer {token}"}},
    "in Proxy-Authorization": lambda token: {"headers": {"Proxy-Authorization": f"Bearer {token}"}},
    "in X-Access-Token": lambda token: {"headers": {"X-Access-Token": token}},
    "in X-API-Key": lambda token: {"headers": {"X-API-Key": token}},
    "in Set-Auth-Token": lambda token: {"headers": {"Set-Auth-Token": token}},
    "in Sec-WebSocket-Protocol": lambda token: {"headers": {"Sec-WebSocket-Protocol": f"bearer, {token}"}},
    "twice": lambda token: {"headers": authorization(f"Bearer {token}", f"Bearer {token}")},
    "before a wrong one": lambda token: {"headers": authorization(f"Bearer {token}", "Bearer x")},
    "after a wrong one": lambda token: {"headers": authorization("Bearer x", f"Bearer {token}")},
    "before an empty header": lambda token: {"headers": authorization(f"Bearer {token}", "")},
    "before another scheme": lambda token: {"headers": authorization(f"Bearer {token}", "Basic eDp4")},
    "twice in one header": lambda token: {"headers": authorization(f"Bearer {token}, Bearer {token}")},
    "without a scheme": lambda token: {"headers": authorization(token)},
    "as an empty scheme": lambda token: {"headers": authorization(f" {token}")},
    "as Basic": lambda token: {"headers": authorization(f"Basic {token}")},
    "as the password of Basic": lambda token: {
        "headers": authorization(f"Basic {base64.b64encode(f'{VICTIM}:{token}'.encode()).decode()}")
    },
    "as Token": lambda token: {"headers": authorization(f"Token {token}")},
    "as JWT": lambda token: {"headers": authorization(f"JWT {token}")},
    "as DPoP": lambda token: {"headers": authorization(f"DPoP {token}")},
    "as Digest": lambda token: {"headers": authorization(f"Digest {token}")},
    "as Bearer:": lambda token: {"headers": authorization(f"Bearer: {token}")},
    "as Bearers": lambda token: {"headers": authorization(f"Bearers {token}")},
    "as Bearer Bearer": lambda token: {"headers": authorization(f"Bearer Bearer {token}")},
    "as Bearer without a space": lambda token: {"headers": authorization(f"Bearer{token}")},
    "as Bearer with a tab": lambda token: {"headers": authorization(f"Bearer\t{token}")},
    "as Bearer with a no-break space": lambda token: {"headers": authorization(f"Bearer\xa0{token}")},
    "as Bearer with a leading space": lambda token: {"headers": authorization(f" Bearer {token}")},
    "as Bearer with a trailing space": lambda token: {"headers": authorization(f"Bearer {token} ")},
    "as Bearer with a name": lambda token: {"headers": authorization(f"Bearer token={token}")},
    "as Bearer in quotes": lambda token: {"headers": authorization(f'Bearer "{token}"')},
    "as Bearer in other letters": lambda token: {"headers": authorization(f"\uff22earer {token}")},
    "as nothing but a scheme": lambda _: {"headers": authorization("Bearer")},
    "as nothing but a scheme and a space": lambda _: {"headers": authorization("Bearer ")},
    "as an empty header": lambda _: {"headers": authorization("")},
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_genuine_token_in_the_wrong_place_is_refused(
    applications: Mapping[str, Litestar],
    place: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for configuration, app in applications.items():
        token = genuine("HS256" if configuration == "HS256 only" else "EdDSA")
        given = {"method": "GET", "url": TASKS, **PLACES[place](token)}
        async with client_of(app) as client:
            answer = await client.request(**given)
            sent = "Authorization" in answer.request.headers
            assert_refused(answer, INVALID if sent else "Bearer", configuration)
            assert_quiet(capsys, caplog, token)
            assert (await client.get(TASKS, headers=authorization(f"Bearer {token}"))).status_code == 200


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "HS256", "session JWT"])
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
async def test_a_genuine_token_is_accepted_exactly_where_it_is_configured(
    applications: Mapping[str, Litestar], configuration: str, algorithm: str
) -> None:
    accepted = {
        "HS256 only": {"HS256"},
        "asymmetric only": {*ALGORITHMS},
        "both": {*ALGORITHMS, "HS256"},
        "both and session JWTs": {*ALGORITHMS, "HS256", "session JWT"},
    }
    token = BRIDGE.token(session_claims()) if algorithm == "session JWT" else genuine(algorithm)
    async with client_of(applications[configuration]) as client:
        answer = await client.get(f"/api/{VICTIM}/tasks", headers=authorization(f"Bearer {token}"))
    if algorithm in accepted[configuration]:
        assert answer.status_code == 200
    else:
        assert_refused(answer, INVALID, configuration)


ROW = {"name": "Ada", "email": "ada@example.org", "emailVerified": False, "image": None, "createdAt": "2026-11-22"}
HARMLESS: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any]]] = {
    "the whole user row": (lambda: {**ROW, "id": VICTIM, "role": "user", "banned": False}, {}),
    "typ JWT": (dict, {"typ": "JWT"}),
    "typ at+jwt": (lambda: {"scope": "tasks:read"}, {"typ": "at+jwt"}),
    "the issuer of OAuth": (lambda: {"iss": f"{ORIGIN}/api/auth", "scope": "tasks:read"}, {"typ": "at+jwt"}),
    "no iat": (lambda: {"iat": ...}, {}),
    "a jti": (lambda: {"jti": "x"}, {}),
    "a list of audiences": (lambda: {"iss": ORIGIN, "aud": ["https://other.example.org", ORIGIN]}, {}),
    "exp with a fraction": (lambda: {"exp": time.time() + 60.5}, {}),
    "iat within the leeway": (lambda: {"iat": time.time() + 5}, {}),
    "nbf within the leeway": (lambda: {"nbf": time.time() + 5}, {}),
    "a user id that is a UUID": (lambda: {"sub": "550e8400-e29b-41d4-a716-446655440000"}, {}),
    "a user id that is a number": (lambda: {"sub": "42"}, {}),
    "a user id of 128 letters": (lambda: {"sub": "a" * 128}, {}),
    "a user id of one letter": (lambda: {"sub": "a"}, {}),
    "a user id of signs": (lambda: {"sub": "_-"}, {}),
    "nested claims": (lambda: {"anything": {"deep": [1]}}, {}),
    "a key id": (dict, {"kid": "key-EdDSA"}),
    "the same userId": (lambda: {"userId": VICTIM}, {}),
    "an unknown header member": (dict, {"x": [1]}),
}


@pytest.mark.parametrize("variant", HARMLESS)
async def test_what_a_legitimate_issuer_may_add_is_accepted(applications: Mapping[str, Litestar], variant: str) -> None:
    changes, header = HARMLESS[variant]
    tokens = [
        key("EdDSA").token(access(**changes()), **header),
        BRIDGE.token(bridge(**{"iss": ORIGIN, "aud": ORIGIN, **changes()}), **header),
        BRIDGE.token(bridge(**changes()), **header),
    ]
    async with client_of(applications["both"]) as client:
        for token in tokens:
            assert (await client.get(TASKS, headers=authorization(f"Bearer {token}"))).status_code == 200


async def test_columns_of_the_user_in_a_token_of_the_jwt_plugin_are_no_marks(
    applications: Mapping[str, Litestar],
) -> None:
    token = key("EdDSA").token(access(type="admin", purpose="work", userId="legacy-7", user={"id": "legacy-7"}))
    async with client_of(applications["both"]) as client:
        assert (await client.get(TASKS, headers=authorization(f"Bearer {token}"))).status_code == 200


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "HS256"])
async def test_a_remembered_token_opens_nothing_for_its_variations(
    applications: Mapping[str, Litestar], algorithm: str
) -> None:
    token = genuine(algorithm)
    header, payload, signature = token.split(".")
    flipped = attacks.with_signature(token, lambda given: given[:-1] + bytes([given[-1] ^ 1]))
    other = genuine(algorithm).replace(payload, segment(b'{"sub":"admin"}'))
    async with client_of(applications["both"]) as client:
        assert (await client.get(TASKS, headers=authorization(f"Bearer {token}"))).status_code == 200
        for variation in (
            flipped,
            other,
            f"{header}.{payload}.",
            f"{header}.{payload}",
            f"{token}=",
            f"{segment(b'{}')}.{payload}.{signature}",
            token.swapcase(),
        ):
            answer = await client.get(TASKS, headers=authorization(f"Bearer {variation}"))
            assert_refused(answer, INVALID, "both")


async def test_a_header_never_makes_us_ask_a_stranger_for_keys(applications: Mapping[str, Litestar]) -> None:
    strangers = attacks.stranger("EdDSA")
    async with issuing(strangers) as attacker, client_of(applications["both"]) as client:
        for member in ("jku", "x5u", "kid", "iss"):
            for address in (attacker.url, f"{attacker.url}/api/auth/jwks"):
                given = {"iss": address} if member == "iss" else {}
                head = {} if member == "iss" else {member: address}
                token = strangers.token(access(**given), **head)
                answer = await client.get(TASKS, headers=authorization(f"Bearer {token}"))
                assert_refused(answer, INVALID, "both")
        assert attacker.asked == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_only_the_algorithms_that_are_allowed_are_accepted(
    settings: Settings, issuer: Issuer, algorithm: Any
) -> None:
    only = replace(
        settings,
        better_auth_secret=SECRET,
        better_auth_url=ORIGIN,
        jwks_url=issuer.url,
        jwt_algorithm=(algorithm,),
    )
    async with running(only) as app, client_of(app) as client:
        for other in {*ALGORITHMS, "HS256"} - {"EdDSA", "Ed25519"}:
            answer = await client.get(TASKS, headers=authorization(f"Bearer {genuine(other)}"))
            assert answer.status_code == (200 if other == algorithm else 401), other
        own = await client.get(TASKS, headers=authorization(f"Bearer {genuine(algorithm)}"))
        assert own.status_code == 200
