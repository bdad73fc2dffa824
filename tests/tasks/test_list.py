from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

TASKS = "/api/me/tasks"


async def seed(client: httpx.AsyncClient, *tasks: dict[str, Any]) -> None:
    for task in tasks:
        assert (await client.post(TASKS, json=task)).status_code == 201


async def titles(client: httpx.AsyncClient, **params: Any) -> list[str]:
    response = await client.get(TASKS, params=params)
    assert response.status_code == 200, response.text
    return [task["title"] for task in response.json()]


@pytest.fixture
async def four(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await seed(
        client,
        {"title": "Apple", "priority": "LOW", "tags": ["fruit", "red"], "due_date": "2026-12-03"},
        {
            "title": "banana",
            "priority": "HIGH",
            "tags": ["fruit"],
            "description": "100% ripe",
            "due_date": "2026-12-01",
        },
        {"title": "Carrot", "tags": ["red"], "completed": True},
        {"title": "date ÄÖ", "priority": "HIGH", "description": "under_score", "due_date": "2026-12-02T12:00:00Z"},
    )
    return client


async def test_a_user_without_tasks_has_an_empty_array(client: httpx.AsyncClient) -> None:
    response = await client.get(TASKS)
    assert (response.json(), response.headers["etag"], response.headers.get("link")) == ([], '"0"', None)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["date ÄÖ", "Carrot", "banana", "Apple"]),
        ({"order": "asc"}, ["Apple", "banana", "Carrot", "date ÄÖ"]),
        ({"sort": "title"}, ["Apple", "banana", "Carrot", "date ÄÖ"]),
        ({"sort": "title", "order": "desc"}, ["date ÄÖ", "Carrot", "banana", "Apple"]),
        ({"sort": "priority"}, ["date ÄÖ", "banana", "Carrot", "Apple"]),
        ({"sort": "priority", "order": "asc"}, ["Apple", "Carrot", "banana", "date ÄÖ"]),
        ({"sort": "due_date"}, ["banana", "date ÄÖ", "Apple", "Carrot"]),
        ({"sort": "due_date", "order": "desc"}, ["Apple", "date ÄÖ", "banana", "Carrot"]),
        ({"sort": "updated", "order": "asc"}, ["Apple", "banana", "Carrot", "date ÄÖ"]),
        ({"status": "all"}, ["date ÄÖ", "Carrot", "banana", "Apple"]),
        ({"status": "pending"}, ["date ÄÖ", "banana", "Apple"]),
        ({"status": "completed"}, ["Carrot"]),
        ({"priority": "high"}, ["date ÄÖ", "banana"]),
        ({"priority": ["LOW", "medium"]}, ["Carrot", "Apple"]),
        ({"tag": "red"}, ["Carrot", "Apple"]),
        ({"tag": ["red", "fruit"]}, ["Apple"]),
        ({"tag": "nothing"}, []),
        ({"tag": "fruit,red"}, []),
        ({"tags": "red"}, ["Carrot", "Apple"]),
        ({"tags": "red, fruit"}, ["Carrot", "banana", "Apple"]),
        ({"tags": ["fruit,nothing", "nothing"]}, ["banana", "Apple"]),
        ({"tags": "nothing"}, []),
        ({"tags": ""}, ["date ÄÖ", "Carrot", "banana", "Apple"]),
        ({"tags": "fruit,red", "tag": "red", "status": "pending"}, ["Apple"]),
        ({"priority": "low,Medium"}, ["Carrot", "Apple"]),
        ({"search": "AN"}, ["banana"]),
        ({"search": "äö"}, ["date ÄÖ"]),
        ({"search": "%"}, ["banana"]),
        ({"search": "_"}, ["date ÄÖ"]),
        ({"search": "\\"}, []),
        ({"search": ""}, ["date ÄÖ", "Carrot", "banana", "Apple"]),
        ({"due_after": "2026-12-02T12:00:00Z"}, ["date ÄÖ", "Apple"]),
        ({"due_before": "2026-12-02T12:00:00Z"}, ["banana"]),
        ({"due_after": "2026-12-02", "due_before": "2026-12-03"}, ["date ÄÖ"]),
        ({"due_before": "2026-12-02T14:00:00+02:00"}, ["banana"]),
        ({"limit": 1}, ["date ÄÖ"]),
        ({"limit": 2, "offset": 1}, ["Carrot", "banana"]),
        ({"offset": 4}, []),
        ({"nonsense": "x", "url_user_id": "me", "_": 1764583200, "": "x"}, ["date ÄÖ", "Carrot", "banana", "Apple"]),
        ({"status": "pending", "priority": "HIGH", "tag": "fruit", "search": "ripe"}, ["banana"]),
    ],
)
async def test_filters_orders_and_pages(four: httpx.AsyncClient, params: dict[str, Any], expected: list[str]) -> None:
    assert await titles(four, **params) == expected


async def test_the_latest_change_comes_first_when_sorted_by_update(four: httpx.AsyncClient) -> None:
    [apple] = (await four.get(TASKS, params={"search": "apple"})).json()
    await four.patch(f"{TASKS}/{apple['id']}/complete")
    assert await titles(four, sort="updated") == ["Apple", "date ÄÖ", "Carrot", "banana"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=open", "status"),
        ("status=", "status"),
        ("priority=urgent", "priority"),
        ("priority=HIGH&priority=", "priority"),
        ("tag=", "tag"),
        (f"tag={'x' * 51}", "tag"),
        (f"tags=a,{'x' * 51}", "tags"),
        ("tags=%00", "tags"),
        (f"tags={','.join(map(str, range(101)))}", "tags"),
        ("priority=HIGH,", "priority"),
        (f"search={'x' * 201}", "search"),
        ("search=%00", "search"),
        ("due_after=yesterday", "due_after"),
        ("due_before=1764583200", "due_before"),
        ("due_before=3000-01-01", "due_before"),
        ("sort=id", "sort"),
        ("order=up", "order"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%2B5", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=5&limit=6", "limit"),
        ("offset=-1", "offset"),
        ("offset=1.0", "offset"),
        ("offset=1000001", "offset"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        (f"cursor={'W' * 3000}", "cursor"),
        ("search=%FF", "query"),
        ("&".join(f"x{number}=1" for number in range(200)), "query"),
    ],
)
async def test_a_bad_value_of_a_known_parameter_is_422(client: httpx.AsyncClient, query: str, field: str) -> None:
    response = await client.get(f"{TASKS}?{query}")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_every_bad_parameter_is_named(client: httpx.AsyncClient) -> None:
    response = await client.get(f"{TASKS}?limit=0&sort=x&status=pending")
    assert [error["field"] for error in response.json()["errors"]] == ["limit", "sort"]


async def test_a_plus_sign_that_was_not_escaped_is_still_an_offset(four: httpx.AsyncClient) -> None:
    response = await four.get(f"{TASKS}?due_before=2026-12-02T14:00:00+02:00")
    assert [task["title"] for task in response.json()] == ["banana"]


async def test_the_next_link_leads_through_all_pages_and_keeps_the_parameters(
    four: httpx.AsyncClient, next_page: Callable[[httpx.Response], str | None]
) -> None:
    seen: list[str] = []
    url: str | None = f"{TASKS}?limit=2&sort=priority&search=a&nonsense=%26&offset=0"
    while url:
        response = await four.get(url)
        seen += [task["title"] for task in response.json()]
        url = next_page(response)
        if url:
            parameters = parse_qs(urlsplit(url).query)
            assert parameters.keys() == {"limit", "sort", "search", "nonsense", "cursor"}
            assert parameters["nonsense"] == ["&"]
    assert seen == ["date ÄÖ", "banana", "Carrot", "Apple"]


async def test_no_link_where_the_page_is_the_last(four: httpx.AsyncClient) -> None:
    cases: list[dict[str, Any]] = [{}, {"limit": 4}, {"offset": 2, "limit": 2}, {"status": "completed", "limit": 1}]
    for params in cases:
        assert "link" not in (await four.get(TASKS, params=params)).headers


async def test_a_cursor_of_another_order_is_refused(
    four: httpx.AsyncClient, next_page: Callable[[httpx.Response], str | None]
) -> None:
    url = next_page(await four.get(TASKS, params={"limit": 1}))
    assert url is not None
    for change in ("&sort=title", "&order=asc"):
        response = await four.get(url + change)
        assert response.json()["errors"] == [{"field": "cursor", "message": "Belongs to a list in another order"}]


async def test_deleting_the_task_that_a_cursor_names_does_not_break_it(
    four: httpx.AsyncClient, next_page: Callable[[httpx.Response], str | None]
) -> None:
    first = await four.get(TASKS, params={"limit": 2})
    await four.delete(f"{TASKS}/{first.json()[-1]['id']}")
    url = next_page(first)
    assert url is not None
    assert [task["title"] for task in (await four.get(url)).json()] == ["banana", "Apple"]


async def test_a_list_is_304_until_anything_changes(four: httpx.AsyncClient) -> None:
    first = await four.get(TASKS, params={"status": "pending"})
    tag = first.headers["etag"]
    for given in (tag, f"W/{tag}", f'"1", {tag}'):
        unchanged = await four.get(TASKS, params={"status": "pending"}, headers={"If-None-Match": given})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"].removeprefix("W/") == tag
    await seed(four, {"title": "new"})
    changed = await four.get(TASKS, params={"status": "pending"}, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json()[0]["title"] == "new"
    assert changed.headers["etag"] != tag


async def test_any_tag_is_304_where_something_exists(four: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    [task, *_] = (await four.get(TASKS)).json()
    url, any_tag = f"{TASKS}/{task['id']}", {"If-None-Match": "*"}
    for path in (TASKS, f"{TASKS}?status=completed&search=nothing", url):
        answer = await four.get(path, headers=any_tag)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == (await four.get(path)).headers["etag"]
    nothing_yet = await other.get(TASKS, headers=any_tag)
    assert (nothing_yet.status_code, nothing_yet.headers["etag"]) == (304, '"0"')
    await four.delete(url)
    assert (await four.get(url, headers=any_tag)).status_code == 404


async def test_a_task_is_304_until_that_task_changes(four: httpx.AsyncClient) -> None:
    newest, older, *_ = (await four.get(TASKS)).json()
    url, tag = f"{TASKS}/{newest['id']}", f'"{newest["revision"]}"'
    assert (await four.get(url, headers={"If-None-Match": tag})).status_code == 304
    await four.patch(f"{TASKS}/{older['id']}", json={"title": "other"})
    assert (await four.get(url, headers={"If-None-Match": tag})).status_code == 304
    await four.patch(url, json={"title": "changed"})
    assert (await four.get(url, headers={"If-None-Match": tag})).json()["title"] == "changed"


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "filters", [{"tag": "even"}, {"tags": "even,none"}, {"status": "pending"}, {"priority": "HIGH", "search": "2"}]
)
async def test_filtered_pages_are_the_whole_list_filtered(
    client: httpx.AsyncClient,
    next_page: Callable[[httpx.Response], str | None],
    filters: dict[str, str],
    order: str,
) -> None:
    await seed(
        client,
        *(
            {
                "title": str(number),
                "tags": ["odd" if number % 2 else "even"],
                "completed": number % 3 == 0,
                "priority": "HIGH" if number % 5 else "LOW",
            }
            for number in range(30)
        ),
    )
    matches: dict[str, Callable[[dict[str, Any]], bool]] = {
        "tag": lambda task: filters["tag"] in task["tags"],
        "tags": lambda task: not {*filters["tags"].split(",")}.isdisjoint(task["tags"]),
        "status": lambda task: not task["completed"],
        "priority": lambda task: task["priority"] == filters["priority"],
        "search": lambda task: filters["search"] in task["title"],
    }
    whole = (await client.get(TASKS, params={"order": order})).json()
    expected = [task["title"] for task in whole if all(matches[name](task) for name in filters)]
    found: list[str] = []
    url: str | None = str(httpx.URL(TASKS, params={**filters, "order": order, "limit": 4}))
    while url:
        response = await client.get(url)
        found += [task["title"] for task in response.json()]
        url = next_page(response)
    assert found == expected
    second = await client.get(TASKS, params={**filters, "order": order, "limit": 4, "offset": 4})
    assert [task["title"] for task in second.json()] == expected[4:8]
