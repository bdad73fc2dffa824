"""docs/compatibility.md says what the code does: each name in it is tried, and each name in the code is in it."""

import re
from pathlib import Path
from typing import Final

import httpx
import pytest

from app.tasks.aliases import COMPLETED, NAMES, ORDERS, REFUSED, SORTS, STATUSES, own_address

DOCUMENT: Final = (Path(__file__).parents[1] / "docs" / "compatibility.md").read_text()
TASKS: Final = "/api/me/tasks"


def table(section: str, columns: int) -> list[list[str]]:
    """The rows of a section's table with so many columns."""
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in cells if len(row) == columns and "`" in row[0]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def documented_paths() -> list[tuple[str, str, str]]:
    """Method, path and our own path of each row."""
    found = []
    for other, own in table("Paths", 2):
        *methods, last = quoted(other)
        method, _, path = last.rpartition(" ")
        [meant] = quoted(own)
        found += [(each, path, meant) for each in [*methods, method or "GET"]]
    return found


@pytest.mark.parametrize(("method", "other", "own"), documented_paths())
def test_each_documented_path_means_what_the_document_says(method: str, other: str, own: str) -> None:
    own_method, _, path = own.rpartition(" ")
    ends = ["", "/", "/7", "/7/complete"] if "…" in own else [""]
    for end in ends:
        asked, meant = (
            text.replace("/…", end).replace("…", end).format(user_id="me", task_id=7) for text in (other, path)
        )
        if method == (own_method or method) and asked == meant:
            assert own_address(method, asked) is None
        else:
            assert own_address(method, asked) == (own_method or method, meant)


def test_every_path_is_documented() -> None:
    assert [(method, other) for method, other, _ in documented_paths()] == [
        ("GET", "/api/tasks…"),
        ("GET", "/api/v1/…"),
        ("GET", "/api/{user_id}/tasks/filtered"),
        ("POST", "/api/{user_id}/tasks/{task_id}/complete"),
        ("PUT", "/api/{user_id}/tasks/{task_id}/complete"),
        ("POST", "/api/{user_id}/tasks/{task_id}/toggle"),
        ("PUT", "/api/{user_id}/tasks/{task_id}/toggle"),
        ("PATCH", "/api/{user_id}/tasks/{task_id}/toggle"),
        ("GET", "/api/health"),
    ]


def test_every_name_of_a_parameter_is_documented_with_its_meaning_and_no_other() -> None:
    documented = {
        name: meant for names, own in table("Parameters of lists", 2) for name in quoted(names) for meant in quoted(own)
    }
    assert documented == NAMES


def test_every_word_for_a_value_is_documented_with_its_meaning_and_no_other() -> None:
    documented: dict[str, dict[str, str]] = {}
    for parameter, words, own in table("Parameters of lists", 3):
        [name], [meant] = quoted(parameter), quoted(own)
        documented.setdefault(name, {}).update(dict.fromkeys(quoted(words), meant.partition("=")[2]))
    assert documented == {"status": STATUSES, "completed": COMPLETED, "order": ORDERS, "sort": SORTS}


def test_every_refused_name_is_documented_with_its_sentence_and_no_other() -> None:
    documented = {name: sentence for names, sentence in table("Refused", 2) for name in quoted(names)}
    assert documented == REFUSED


async def test_what_the_document_shows_is_so(client: httpx.AsyncClient) -> None:
    """Every query string in its text: accepted above `Refused`, unless it stands among what disagrees."""
    accepted, _, _ = DOCUMENT.partition("The same thing may be said twice")
    [disagree] = re.findall(r"Two parameters that disagree are 422.*?\. A", DOCUMENT, flags=re.DOTALL)
    for text, status in ((accepted, 200), (disagree, 422)):
        shown = [query for query in quoted(text) if re.match(r"[\w\[\]-]+=", query)]
        assert len(shown) >= 3
        for query in shown:
            assert (await client.get(f"{TASKS}?{query}")).status_code == status, query
    [forms] = re.findall(r"^A `sort` may have.*?\n\n", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    for form in [form for form in quoted(forms) if form != "sort"]:
        answer = await client.get(TASKS, params={"sort": form})
        assert answer.status_code == 200, form
    [operators] = re.findall(r"An operator in a name \((.*?)\)", DOCUMENT)
    for name in quoted(operators):
        assert (await client.get(TASKS, params={name: "x"})).status_code == 422
    for name in quoted(DOCUMENT.partition("## Ignored")[2]):
        assert (await client.get(TASKS, params={name: "x"})).status_code == 200
