from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.http.body import decode
from app.tasks.fingerprint import fingerprint
from app.tasks.schemas import TaskCreate

BODIES = st.fixed_dictionaries(
    {"title": st.sampled_from(["a", "b", "ä"])},
    optional={
        "description": st.sampled_from(["", "a"]),
        "priority": st.sampled_from(["LOW", "HIGH"]),
        "tags": st.sampled_from([["a"], ["b", "a"], ["a", "b"]]),
        "due_date": st.sampled_from(["2026-12-01T10:00:00Z", "2026-12-01T10:00:00.000001Z"]),
        "completed": st.just(True),
    },
)


def of(body: str) -> int:
    return fingerprint(decode(body.encode(), TaskCreate).present())


def test_the_number_of_a_body_is_the_same_in_every_process_and_version() -> None:
    """Stored ones are compared with those of later versions; so these never change."""
    assert of('{"title": "Buy milk"}') == -2038088851913224588
    whole = """{"title": "Milch ☕", "description": "d", "priority": "high", "tags": ["a", "b"],
                "due_date": "2026-12-01T10:00:00.5+02:00", "completed": true}"""
    assert of(whole) == 5382802900371239898


def test_what_means_the_same_has_the_same_number() -> None:
    same = {
        of(body)
        for body in (
            '{"title": "x"}',
            '{"title": " x ", "uid": "abcdefgh"}',
            '{"completed": false, "title": "x", "unknown": 1}',
            '{"title": "x", "description": null, "priority": null, "tags": null, "due_date": null}',
            '{"title": "x", "priority": "medium", "tags": []}',
        )
    }
    assert len(same) == 1
    assert of('{"title": "x", "tags": "a, b"}') == of('{"title": "x", "tags": ["a", "b"]}')
    assert of('{"title": "x", "due_date": "2026-12-01"}') == of(
        '{"title": "x", "due_date": "2026-12-01T01:00:00+01:00"}'
    )


@given(BODIES, BODIES)
def test_bodies_have_the_same_number_if_and_only_if_they_are_the_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    numbers = [fingerprint(TaskCreate(**body).present()) for body in (one, two)]
    assert all(-(2**63) <= number < 2**63 for number in numbers)
    assert (numbers[0] == numbers[1]) == (one == two)
