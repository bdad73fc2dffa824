from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar, get

from app.auth.bearer import PUBLIC, BearerToken, Forbidden, Unauthorized, authenticate, require_own_path
from app.auth.caller import Caller
from app.auth.mint import mint
from app.auth.tokens import TokenVerifier
from app.db.database import Database
from app.errors import respond
from app.settings import Settings
from tests.auth.test_tokens import OTHER, claims, sign
from tests.conftest import client_of

TASKS = "/api/me/tasks"


def header(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", value.encode()) for value in values]


@pytest.fixture
def verifier(settings: Settings) -> TokenVerifier:
    return TokenVerifier(settings, Database(settings))


async def test_a_scope_is_authenticated_by_its_headers_alone(
    verifier: TokenVerifier, settings: Settings, user_id: str
) -> None:
    token = mint(settings, user_id, 60)
    for value in (f"Bearer {token}", f"bearer {token}", f"BEARER   {token}"):
        scope: Any = {"headers": [(b"host", b"x"), *header(value)], "state": {}}
        assert (await authenticate(scope, verifier)).id == user_id


@pytest.mark.parametrize(
    ("values", "challenge"),
    [
        ([], "Bearer"),
        (["Bearer x"], 'Bearer error="invalid_token"'),
        (["Basic x"], 'Bearer error="invalid_token"'),
        ([""], 'Bearer error="invalid_token"'),
        (["Bearer x", "Bearer x"], 'Bearer error="invalid_token"'),
    ],
    ids=str,
)
async def test_a_scope_without_a_good_token_is_unauthorized(
    verifier: TokenVerifier, values: list[str], challenge: str
) -> None:
    scope: Any = {"headers": header(*values), "state": {}}
    with pytest.raises(Unauthorized) as refusal:
        await authenticate(scope, verifier)
    assert refusal.value.headers == {"WWW-Authenticate": challenge}


async def test_every_refusal_looks_the_same_and_comes_before_anything_is_parsed(anonymous: httpx.AsyncClient) -> None:
    answers = [
        await anonymous.request(method, path, headers=header(*values), content=b"not json")
        for values in ([], ["Bearer x"], [f"Bearer {sign(claims(), OTHER)}"], [f"Bearer {sign(claims(exp=1))}"])
        for method, path in [
            ("GET", TASKS),
            ("POST", TASKS),
            ("DELETE", "/api/me"),
            ("PATCH", f"{TASKS}/abc"),
            ("GET", f"{TASKS}?limit=0"),
        ]
    ]
    assert {answer.status_code for answer in answers} == {401}
    challenges = {"authorization" in answer.request.headers: answer.headers["www-authenticate"] for answer in answers}
    assert challenges == {False: "Bearer", True: 'Bearer error="invalid_token"'}
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["detail"] == "Invalid or missing token"


@pytest.mark.parametrize("user_id", ["u1", "me"])
def test_the_callers_id_and_me_are_the_callers_own_path(user_id: str) -> None:
    require_own_path(user_id, Caller("u1"))


@pytest.mark.parametrize("user_id", [None, "", "u2", "U1", "ME", "u1 ", "u"])
def test_any_other_path_is_forbidden_and_so_is_one_without_a_user(user_id: str | None) -> None:
    with pytest.raises(Forbidden):
        require_own_path(user_id, Caller("u1"))


@get("/private")
async def private() -> str:
    """Forgets both the user and to be public."""
    return "secret"


@get("/{owner:str}/private")
async def misnamed() -> str:
    """Calls the user something else."""
    return "secret"


@get("/public", opt=PUBLIC)
async def public() -> str:
    return "open"


@pytest.fixture
async def careless(verifier: TokenVerifier, settings: Settings, user_id: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to an application whose routes were written without a thought for ownership."""
    app = Litestar(
        [private, misnamed, public],
        middleware=[BearerToken(verifier)],
        exception_handlers={Exception: respond},
        openapi_config=None,
        logging_config=None,
    )
    async with app.lifespan(), client_of(app, settings, user_id) as client:
        yield client


async def test_a_route_that_names_no_user_is_forbidden_unless_it_is_public(
    careless: httpx.AsyncClient, user_id: str
) -> None:
    for path in ("/private", "/me/private", f"/{user_id}/private"):
        response = await careless.get(path)
        assert (response.status_code, response.json()["code"]) == (403, "forbidden"), path
        assert (await careless.get(path, headers={"Authorization": ""})).status_code == 401
    assert (await careless.get("/public")).text == "open"
