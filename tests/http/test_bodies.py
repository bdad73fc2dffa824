import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar

from app.auth.mint import mint
from app.settings import Settings
from tests.conftest import client_of, random_user

TASKS = "/api/me/tasks"
JSON = {"Content-Type": "application/json"}
DEEP = 100_000

MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "white space": b"  ",
    "not JSON": b"title=x",
    "cut": b'{"title": "x"',
    "a trailing comma": b'{"title": "x",}',
    "two values": b'{"title": "x"} {}',
    "invalid UTF-8": b'{"title": "\xff\xfe"}',
    "overlong UTF-8": b'{"title": "\xc0\xaf"}',
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"title": "x"}',
    "a lone high surrogate": b'{"title": "\\ud800"}',
    "a lone low surrogate": b'{"title": "\\udc00x"}',
    "an encoded surrogate": b'{"title": "\xed\xa0\x80"}',
    "deep arrays": b'{"title": "x", "y": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep and open": b"[" * 60_000,
    "NaN": b'{"title": "x", "y": NaN}',
    "a control character": b'{"title": "a\x01b"}',
    "bytes": bytes(range(256)),
}


@pytest.fixture
async def url(client: httpx.AsyncClient) -> str:
    return f"{TASKS}/{(await client.post(TASKS, json={'title': 'x'})).json()['id']}"


@pytest.mark.parametrize("case", MALFORMED)
async def test_what_is_not_json_is_400_on_every_route_that_takes_a_body(
    client: httpx.AsyncClient, url: str, case: str
) -> None:
    for method, path in [("POST", TASKS), ("PUT", url), ("PATCH", url), ("PATCH", f"{url}/complete")]:
        if not MALFORMED[case] and path.endswith("complete"):
            continue  # no body is how to flip
        response = await client.request(method, path, content=MALFORMED[case], headers=JSON)
        assert (response.status_code, response.json()["code"]) == (400, "malformed_json"), path
    assert len((await client.get(TASKS)).json()) == 1


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"text"', b"true", b'[{"title": "x"}]'])
async def test_json_that_is_no_object_is_422(client: httpx.AsyncClient, url: str, body: bytes) -> None:
    for method, path in [("POST", TASKS), ("PUT", url), ("PATCH", url), ("PATCH", f"{url}/complete")]:
        response = await client.request(method, path, content=body, headers=JSON)
        assert response.status_code == 422
        assert response.json()["errors"] == [{"field": "body", "message": "Expected an object"}]


@pytest.mark.parametrize("number", ["1" * 60_000, "-" + "1" * 60_000, "1" * 50_000 + ".5", "1e999999"])
async def test_a_number_that_is_too_large_is_no_broken_json(client: httpx.AsyncClient, number: str) -> None:
    ignored = f'{{"title": "", "other": {number}}}'
    wrong = f'{{"title": "x", "completed": {number}}}'
    for content, field in ((ignored, "title"), (wrong, "completed"), (ignored.replace('""', "5"), "title")):
        response = await client.post(TASKS, content=content, headers=JSON)
        assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
        assert [error["field"] for error in response.json()["errors"]] == [field]
    kept = await client.post(TASKS, content=ignored.replace('""', '"x"'), headers=JSON)
    assert kept.status_code == 201


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("APPLICATION/JSON", 201),
        ("application/json; charset=utf-8", 201),
        ('application/json;charset="UTF-8"', 201),
        ("application/json; profile=x", 201),
        ("application/json; charset=latin-1", 415),
        ("application/problem+json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        ("text/json", 415),
        ("application/msgpack", 415),
        ("", 415),
        (None, 415),
    ],
)
async def test_only_json_is_read(client: httpx.AsyncClient, content_type: str | None, status: int) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await client.post(TASKS, content=b'{"title": "x"}', headers=headers)
    assert response.status_code == status
    assert len((await client.get(TASKS)).json()) == (status == 201)


async def chunks(size: int) -> AsyncIterator[bytes]:
    yield b'{"title": "x", "description": "'
    for _ in range(size // 1000):
        yield b"y" * 1000
    yield b'"}'


async def test_a_body_over_the_limit_is_413_whether_it_says_its_length_or_not(client: httpx.AsyncClient) -> None:
    large = b'{"title": "x", "y": "' + b"z" * 70_000 + b'"}'
    for content in (large, chunks(70_000)):
        response = await client.post(TASKS, content=content, headers=JSON)
        assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
    assert (await client.get(TASKS)).json() == []


async def test_a_body_at_the_limit_is_read(client: httpx.AsyncClient) -> None:
    content = b'{"title": "x", "y": "' + b"z" * (65536 - 23) + b'"}'
    assert len(content) == 65536
    assert (await client.post(TASKS, content=content, headers=JSON)).status_code == 201


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    title=TEXT.filter(lambda text: text.strip() != "")
    .map(lambda text: text[:200])
    .filter(lambda text: text.strip() != ""),
    description=TEXT.map(lambda text: text[:1000]),
    tags=st.lists(TEXT.filter(bool).map(lambda text: text[:50]), max_size=20),
)
async def test_text_comes_back_as_it_was_given(
    app: Litestar, settings: Settings, title: str, description: str, tags: list[str]
) -> None:
    async with client_of(app, settings, random_user()) as client:
        body = {"title": title, "description": description, "tags": tags}
        created = await client.post(TASKS, json=body)
        assert created.status_code == 201
        [listed] = (await client.get(TASKS)).json()
        for task in (created.json(), listed):
            assert (task["title"], task["description"], task["tags"]) == (title.strip(), description, tags)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["title", "description", "priority", "tags", "due_date", "completed", "id", "other"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES) | JSON_VALUES)
async def test_no_json_value_makes_an_answer_other_than_created_or_a_named_reason(
    client: httpx.AsyncClient, body: object
) -> None:
    text = json.dumps(body)
    response = await client.post(TASKS, content=text, headers=JSON)
    assert response.status_code in ({201, 400, 422} if "\\ud" in text else {201, 422})
    if response.status_code == 422:
        fields: Iterable[str] = [error["field"] for error in response.json()["errors"]]
        assert fields
        assert set(fields) <= {*FIELDS, "body"}


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_bug_of_ours(
    app: Litestar, settings: Settings, user_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = iter([{"type": "http.request", "body": b'{"title"', "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"authorization", f"Bearer {mint(settings, user_id, 60)}".encode()),
        (b"content-type", b"application/json"),
    ]
    scope: Any = {"type": "http", "method": "POST", "path": TASKS, "headers": headers, "query_string": b"", "state": {}}
    await app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert "unhandled" not in capsys.readouterr().out
