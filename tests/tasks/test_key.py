import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tasks.errors import MalformedIdempotencyKey, TaskNotFound
from app.tasks.key import RESERVED, UID, idempotency_key, is_uid, task_key

TASKS = "/api/me/tasks"
UIDS = st.from_regex(UID, fullmatch=True).filter(lambda text: text not in RESERVED)
SPACE = st.text(" \t", max_size=2)


def sent(*values: bytes) -> dict[str, object]:
    return {"headers": [(b"host", b"x"), *((b"idempotency-key", value) for value in values)]}


@pytest.mark.parametrize("text", ["a" * 8, "A-_z0189", "x" * 64, "1234567a", "-1234567", "_" * 8])
def test_a_uid_is_8_to_64_letters_digits_hyphens_and_underscores(text: str) -> None:
    assert is_uid(text)
    assert task_key(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "a" * 7, "x" * 65, "12345678901234567890", "0123456789", "filtered", "changes", "batch"),
        *(
            "with space",
            "abcdefg\n",
            "abcdefgh\n",
            "äbcdefgh",
            "abcd/fgh",
            "abcd.fgh",
            "١٢٣٤٥٦٧٨٩",
            "0",
            "01",
            "+1",
            "-1",
        ),
        str(2**63),
    ],
)
def test_nothing_else_is_the_name_of_a_task(text: str) -> None:
    assert not is_uid(text)
    with pytest.raises(TaskNotFound):
        task_key(text)


@given(st.integers(1, 2**63 - 1))
def test_digits_alone_are_an_id(number: int) -> None:
    assert task_key(str(number)) == number
    assert not is_uid(str(number))


@given(UIDS, st.booleans(), SPACE, SPACE)
def test_a_key_may_stand_in_quotes_and_means_the_same(uid: str, quoted: bool, before: str, behind: str) -> None:
    text = f'{before}"{uid}"{behind}' if quoted else f"{before}{uid}{behind}"
    assert idempotency_key(sent(text.encode())) == uid


@given(st.binary(max_size=80) | st.text('"abcdefgh1;=\\ ', max_size=12).map(str.encode))
def test_any_other_header_is_refused_and_none_is_misread(value: bytes) -> None:
    try:
        key = idempotency_key(sent(value))
    except MalformedIdempotencyKey:
        return
    assert key is not None
    assert is_uid(key)
    assert value.strip(b" \t") in {key.encode(), f'"{key}"'.encode()}


def test_two_keys_are_none_even_if_they_are_the_same() -> None:
    assert idempotency_key(sent()) is None
    with pytest.raises(MalformedIdempotencyKey):
        idempotency_key(sent(b"abcdefgh", b"abcdefgh"))


async def test_every_path_takes_the_uid_in_the_place_of_the_id(client: httpx.AsyncClient) -> None:
    uid = "9b2e4c1a-5d07-4f7e-8a63-0c1d2e3f4a5b"
    created = await client.post(TASKS, json={"title": "x", "uid": uid})
    task = created.json()
    assert [*task][:3] == ["id", "uid", "user_id"]
    assert task["uid"] == uid
    assert created.headers["location"] == f"{TASKS}/{task['id']}"
    url = f"{TASKS}/{uid}"
    assert (await client.get(url)).json() == task
    assert (await client.get(f"{TASKS}/{task['id']}")).json() == task
    etag = {"If-None-Match": created.headers["etag"]}
    assert (await client.get(url, headers=etag)).status_code == 304
    assert (await client.patch(url, json={"title": "y"})).json()["title"] == "y"
    stale = {"If-Match": created.headers["etag"]}
    assert (await client.patch(url, json={"title": "z"}, headers=stale)).status_code == 412
    assert (await client.put(url, json={"description": "d"})).json()["title"] == "y"
    assert (await client.patch(f"{url}/complete")).json()["completed"] is True
    assert (await client.post(f"/api/tasks/{uid}/toggle")).json()["completed"] is False
    assert [each["uid"] for each in (await client.get(TASKS)).json()] == [uid]
    assert (await client.delete(url, headers=stale)).status_code == 412
    assert (await client.delete(url)).status_code == 204
    for path in (url, f"{TASKS}/{task['id']}"):
        assert (await client.get(path)).json()["code"] == "task_not_found"


async def test_a_task_without_a_uid_shows_its_id_as_one(client: httpx.AsyncClient) -> None:
    task = (await client.post(TASKS, json={"title": "x", "uid": None})).json()
    assert task["uid"] == str(task["id"])
    assert (await client.get(f"{TASKS}/{task['uid']}")).json() == task


async def test_a_uid_is_never_changed(client: httpx.AsyncClient) -> None:
    await client.post(TASKS, json={"title": "x", "uid": "first-name"})
    changed = await client.patch(f"{TASKS}/first-name", json={"title": "y", "uid": "other-name"})
    assert (changed.json()["title"], changed.json()["uid"]) == ("y", "first-name")
    assert (await client.get(f"{TASKS}/other-name")).status_code == 404


async def test_another_users_uid_is_not_found(client: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    await client.post(TASKS, json={"title": "x", "uid": "same-name"})
    url = f"{TASKS}/same-name"
    for method, path in (("GET", url), ("PATCH", url), ("PATCH", f"{url}/complete"), ("DELETE", url)):
        answer = await other.request(method, path, json={"title": "stolen"} if method == "PATCH" else None)
        assert answer.json()["code"] == "task_not_found"
    assert (await client.get(url)).json()["title"] == "x"


async def test_no_answer_shows_a_fingerprint(client: httpx.AsyncClient) -> None:
    created = await client.post(TASKS, json={"title": "x", "uid": "has-a-number"})
    for answer in (
        created,
        await client.get(TASKS),
        await client.patch(f"{TASKS}/has-a-number", json={"title": "y"}),
    ):
        assert 'fingerprint"' not in answer.text
