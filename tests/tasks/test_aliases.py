"""What other frontends call our list parameters: the same list by either name, or a sentence; never another list."""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import ValidationFailed
from app.settings import Settings
from app.tasks import aliases
from app.tasks.aliases import COMPLETED, NAMES, ORDERS, REFUSED, SORTS, STATUSES
from app.tasks.parameters import PARAMETERS
from app.tasks.query import parse
from tests.conftest import client_of, random_user

TASKS: Final = "/api/me/tasks"
VALUES: Final = {
    "sort": "title",
    "order": "asc",
    "search": "an",
    "limit": "2",
    "offset": "1",
    "status": "completed",
    "priority": "HIGH",
    "tag": "fruit",
    "tags": "fruit,red",
    "due_after": "2026-12-02",
    "due_before": "2026-12-02",
}
"""A value of each parameter of ours that makes another list than none does."""

PAIRS: Final = [
    *((f"{other}={VALUES[own]}", f"{own}={VALUES[own]}") for other, own in NAMES.items() if own in VALUES),
    *((f"{other}=2&limit=1", "offset=1&limit=1") for other in ["page", *(n for n in NAMES if NAMES[n] == "page")]),
    *(
        (f"{other}={value.capitalize()}", f"status={own}")
        for other in ["completed", *(n for n in NAMES if NAMES[n] == "completed")]
        for value, own in COMPLETED.items()
    ),
    *((f"status={other.upper()}", f"status={own}") for other, own in STATUSES.items()),
    *((f"sort_order={other}", f"order={own}") for other, own in ORDERS.items()),
    *((f"sort={other}", f"sort={own}") for other, own in SORTS.items()),
    *(
        (f"sort={mark}{other}", f"sort={own}&order={order}")
        for other, own in SORTS.items()
        for mark, order in [("-", "desc"), ("%2B", "asc"), ("+", "asc")]
    ),
    *(
        (f"sort_by={other}{mark}{order}", f"sort={own}&order={order}")
        for other, own in SORTS.items()
        for mark in "_:. ,"
        for order in ("asc", "desc")
    ),
    ("sort=-due_date", "sort=due_date&order=desc"),
    ("sort=CREATED_AT_DESC", "sort=created&order=desc"),
    ("sort=createdAt", "sort=created"),
    ("sortBy=dueDate&sortOrder=DESC", "sort=due_date&order=desc"),
    ("orderBy=updatedAt:asc", "sort=updated&order=asc"),
    ("order=ASC", "order=asc"),
    ("status=ALL", "status=all"),
    ("status=Pending", "status=pending"),
    ("priority[]=HIGH&priority[]=LOW", "priority=HIGH&priority=LOW"),
    ("priority%5B%5D=HIGH&priority%5B%5D=LOW", "priority=HIGH&priority=LOW"),
    ("priority%5B0%5D=HIGH&priority%5B1%5D=LOW", "priority=HIGH&priority=LOW"),
    ("priority=high,low", "priority=HIGH&priority=LOW"),
    ("tag[]=fruit&tag[]=red", "tag=fruit&tag=red"),
    ("tags[]=fruit&tags[]=red", "tags=fruit,red"),
    ("status[]=done", "status=completed"),
    ("dueBefore=2026-12-02&due-after=2026-12-01", "due_before=2026-12-02&due_after=2026-12-01"),
    ("STATUS=todo&Limit=1", "status=pending&limit=1"),
    ("pageSize=1&page=3", "limit=1&offset=2"),
    ("page=1", ""),
    ("page=2", "offset=1000"),
    ("category=&project=all&filter=All&overdue=", ""),
    ("url_user_id=me&_=1764583200&t=5&user_id=x&__typename=y", ""),
    ("status=pending&completed=false&is_completed=0&status_filter=active", "status=pending"),
    ("sort=created_at_desc&order=desc&sort_by=-created", "sort=created&order=desc"),
    ("limit=2&per_page=2", "limit=2"),
    (
        "is_completed=false&priority[]=high,medium&tags=red,fruit&q=a&sort_by=due_date&sort_order=desc&page=1&per_page=5",
        "status=pending&priority=HIGH&priority=MEDIUM&tags=red&tags=fruit&search=a&sort=due_date&order=desc&limit=5",
    ),
]


@pytest.fixture
async def five(client: httpx.AsyncClient) -> httpx.AsyncClient:
    for task in (
        {"title": "Apple", "priority": "LOW", "tags": ["fruit", "red"], "due_date": "2026-12-03"},
        {"title": "banana", "priority": "HIGH", "tags": ["fruit"], "due_date": "2026-12-01"},
        {"title": "Carrot", "tags": ["red"], "completed": True},
        {"title": "date", "priority": "HIGH", "due_date": "2026-12-02T12:00:00Z"},
        {"title": "Endive", "tags": ["green"], "completed": True, "due_date": "2026-12-02"},
    ):
        assert (await client.post(TASKS, json=task)).status_code == 201
    return client


async def test_a_list_by_other_names_is_the_list_by_ours(five: httpx.AsyncClient) -> None:
    for other, own in PAIRS:
        answers = [await five.get(f"{TASKS}?{query}") for query in (other, own)]
        assert [answer.status_code for answer in answers] == [200, 200], other
        assert answers[0].json() == answers[1].json(), other
        assert parse(other.encode()) == parse(own.encode())  # and so they share statements and cached pages


async def test_each_value_above_makes_a_list_of_its_own(five: httpx.AsyncClient) -> None:
    whole = (await five.get(TASKS)).json()
    assert VALUES.keys() == PARAMETERS.keys() - {"cursor"}
    for name, value in VALUES.items():
        assert (await five.get(TASKS, params={name: value})).json() != whole, name


SPELLINGS: Final[list[Callable[[str], str]]] = [
    str,
    str.upper,
    lambda name: name.replace("_", "-"),
    lambda name: re.sub(r"(?<=[a-z])_([a-z])", lambda match: match[1].upper(), name),
]


@st.composite
def same_lists(draw: st.DrawFn) -> tuple[str, str]:
    """A query string by our own names, and one that says the same in other words and another order."""
    own: list[tuple[str, str]] = []
    other: list[tuple[str, str]] = []

    def spelled(name: str, brackets: str = "") -> str:
        names = [name, *(alias for alias in NAMES if NAMES[alias] == name)]
        return draw(st.sampled_from(SPELLINGS))(draw(st.sampled_from(names))) + brackets

    def cased(text: str) -> str:
        return draw(st.sampled_from([text, text.upper(), text.capitalize()]))

    if draw(st.booleans()):
        status = draw(st.sampled_from(["pending", "completed"]))
        words = {"status": STATUSES, "completed": COMPLETED}
        name = draw(st.sampled_from([*words]))
        own.append(("status", status))
        texts = [word for word, meaning in words[name].items() if meaning == status]
        other.append((spelled(name), cased(draw(st.sampled_from(texts)))))
    for name, choices in (("priority", ["HIGH", "MEDIUM", "LOW"]), ("tags", ["fruit", "red", "none"])):
        chosen = draw(st.lists(st.sampled_from(choices), max_size=3, unique=True))
        own += [(name, value) for value in chosen]
        split = draw(st.integers(0, len(chosen)))
        parts = [",".join(chosen[:split]), *chosen[split:]]
        other += [(spelled(name, draw(st.sampled_from(["", "[]", "[0]"]))), part) for part in parts if part]
    if draw(st.booleans()):
        sort, order = (
            draw(st.sampled_from(["created", "updated", "due_date", "title"])),
            draw(st.sampled_from(["asc", "desc"])),
        )
        own += [("sort", sort), ("order", order)]
        word = draw(st.sampled_from([sort, *(alias for alias in SORTS if SORTS[alias] == sort)]))
        sign = {"asc": "+", "desc": "-"}[order]
        forms: list[list[tuple[str, str]]] = [
            [(spelled("sort"), cased(f"{word}_{order}"))],
            [(spelled("sort"), f"{word}:{order}")],
            [(spelled("sort"), f"{sign}{word}")],
            [(spelled("sort"), cased(word)), (spelled("order"), cased(order))],
        ]
        other += draw(st.sampled_from(forms))
    limit, page = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    own += [("limit", str(limit)), ("offset", str((page - 1) * limit))]
    offset = draw(st.sampled_from([(spelled("page"), str(page)), (spelled("offset"), str((page - 1) * limit))]))
    other += [(spelled("limit"), str(limit)), offset, ("_", "1764583200")]
    return urlencode(own), urlencode(draw(st.permutations(other)))


@given(lists=same_lists())
@settings(max_examples=200, deadline=None)
def test_whatever_is_asked_in_other_words_is_the_same_question(lists: tuple[str, str]) -> None:
    own, other = lists
    assert parse(other.encode()) == parse(own.encode())


@given(lists=st.lists(same_lists(), min_size=10, max_size=20))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_asked_in_other_words_has_the_same_answer(
    five: httpx.AsyncClient, lists: list[tuple[str, str]]
) -> None:
    for own, other in lists:
        assert (await five.get(f"{TASKS}?{other}")).json() == (await five.get(f"{TASKS}?{own}")).json()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=pending&completed=true", "completed"),
        ("completed=true&status=pending", "status"),
        ("is_completed=1&completed=0", "completed"),
        ("status=all&completed=true", "completed"),
        ("status[]=pending&status[]=completed", "status[]"),
        ("status_filter=done&status=active", "status"),
        ("sort=created_at&sort_by=title", "sort_by"),
        ("sort=-created&order=asc", "order"),
        ("sortOrder=asc&sort=created_at_desc", "sort"),
        ("sort=-created_at_asc", "sort"),
        ("order=asc&sort_order=desc", "sort_order"),
        ("q=a&search=b", "search"),
        ("limit=5&per_page=6", "per_page"),
        ("skip=1&offset=2", "offset"),
        ("page=2&offset=10", "page"),
        ("skip=0&page=1", "page"),
        ("due_date_from=2026-01-01&due_after=2026-01-02", "due_after"),
    ],
)
async def test_what_disagrees_is_422_under_the_name_that_the_client_wrote(
    client: httpx.AsyncClient, query: str, field: str
) -> None:
    answer = await client.get(f"{TASKS}?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_page_is_no_place_beside_a_cursor(
    five: httpx.AsyncClient, next_page: Callable[[httpx.Response], str | None]
) -> None:
    following = next_page(await five.get(TASKS, params={"limit": 2}))
    answer = await five.get(f"{following}&page=2")
    assert answer.json()["errors"] == [{"field": "page", "message": "Use either this or `cursor`"}]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=two", "page"),
        ("page=1000&limit=1000&_page=1001", "_page"),
        ("page=1002", "page"),
        ("pageSize=5000", "pageSize"),
        ("completed=maybe", "completed"),
        ("isCompleted=", "isCompleted"),
        ("sort_by=nonsense", "sort_by"),
        ("sort=created_at,title", "sort"),
        ("sort=a/b", "sort"),
        ("sort=desc", "sort"),
        ("direction=sideways", "direction"),
        ("priority[]=urgent", "priority[]"),
        ("due_date_from=tomorrow", "due_date_from"),
        ("priority__in=HIGH", "priority__in"),
        ("due_date[gte]=2026-01-01", "due_date[gte]"),
        ("sort[created_at]=desc", "sort[created_at]"),
        ("page[number]=2", "page[number]"),
        ("filter[status]=done", "filter[status]"),
        ("tag[0][name]=x", "tag[0][name]"),
        ("completed__exact=x", "completed__exact"),
    ],
)
async def test_what_cannot_be_understood_is_422_under_the_name_that_the_client_wrote(
    client: httpx.AsyncClient, query: str, field: str
) -> None:
    answer = await client.get(f"{TASKS}?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("name", REFUSED)
def test_what_this_api_does_not_have_is_refused_with_what_to_use(name: str) -> None:
    for spell in SPELLINGS:
        with pytest.raises(ValidationFailed) as refusal:
            parse(f"{spell(name)}=work".encode())
        [error] = refusal.value.errors
        assert (error.field, error.message) == (spell(name), REFUSED[name])
    assert parse(f"{name}=".encode()) == parse(b"")


def test_no_name_means_two_things() -> None:
    own = {*PARAMETERS, "page", "completed"}
    assert not NAMES.keys() & own
    assert not REFUSED.keys() & (own | NAMES.keys())
    assert set(NAMES.values()) <= own
    assert not aliases.SORTS.keys() & set(aliases.SORTS.values())


async def test_the_next_link_leads_through_all_pages_by_other_names_as_well(
    five: httpx.AsyncClient, next_page: Callable[[httpx.Response], str | None]
) -> None:
    whole = [task["title"] for task in (await five.get(TASKS, params={"sort": "created", "order": "asc"})).json()]
    for place in ("page=1&pageSize=2", "skip=0&limit=2", "_page=1&per_page=2", "offset=0&take=2"):
        seen: list[str] = []
        url: str | None = f"{TASKS}?{place}&sort_by=created_at&sortOrder=ASC&category=&priority[]=high,medium,low"
        while url:
            answer = await five.get(url)
            seen += [task["title"] for task in answer.json()]
            url = next_page(answer)
        assert seen == whole, place


async def test_a_page_by_number_leads_on_from_there(
    five: httpx.AsyncClient, next_page: Callable[[httpx.Response], str | None]
) -> None:
    whole = (await five.get(TASKS)).json()
    second = await five.get(TASKS, params={"page": 2, "limit": 2})
    url = next_page(second)
    assert url is not None
    assert "page=" not in url
    assert [*second.json(), *(await five.get(url)).json()] == whole[2:]


async def test_other_names_share_the_revision(five: httpx.AsyncClient) -> None:
    tag = (await five.get(TASKS, params={"sort_by": "created_at"})).headers["etag"]
    again = await five.get(TASKS, params={"sort": "-created"}, headers={"If-None-Match": tag})
    assert again.status_code == 304


async def test_nothing_that_the_documentation_does_not_know_is_in_the_openapi_document(app: Any) -> None:
    listed = app.openapi_schema.to_schema()["paths"]["/api/{user_id}/tasks"]["get"]["parameters"]
    assert {each["name"] for each in listed if each["in"] == "query"} == PARAMETERS.keys()


async def test_lower_case_priorities_are_asked_for_by_any_name(app: Any, settings: Settings) -> None:
    async with client_of(app, settings, random_user()) as client:
        await client.post(TASKS, json={"title": "x", "priority": "low"})
        assert len((await client.get(f"{TASKS}?priorities[]=low")).json()) == 1
        assert (await client.get(f"{TASKS}?priorities[]=high")).json() == []
