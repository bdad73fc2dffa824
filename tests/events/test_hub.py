"""Who is told of which number, when what happens at once is heard in another order."""

import pytest

from app.events.hub import Hub
from app.events.stream import EventStream
from app.settings import Settings


@pytest.fixture
def hub(settings: Settings) -> Hub:
    return Hub(settings)


async def test_an_erasure_that_is_heard_late_hides_nothing_that_was_written_after_it(hub: Hub) -> None:
    stream = EventStream("ada", float("inf"))
    with hub.holding(stream):
        hub.moved("ada", 5)
        hub.moved("ada", 100)  # of the user who has come back
        assert not hub.erased("ada", 5)
        assert hub.moved("ada", 101)
        assert stream.revision == 101


async def test_a_user_without_a_row_who_writes_while_the_database_is_asked_is_not_told_of_an_erasure(hub: Hub) -> None:
    stream = EventStream("ada", float("inf"))
    with hub.holding(stream):
        known = hub.users["ada"]
        hub.moved("ada", 100)
        assert not hub.erased("ada", known)  # the answer is from before
        assert stream.revision == 100
        assert hub.moved("ada", 101)


async def test_an_erasure_is_told_once_until_the_user_comes_back(hub: Hub) -> None:
    stream = EventStream("ada", float("inf"))
    with hub.holding(stream):
        hub.moved("ada", 5)
        assert hub.erased("ada", 5)
        assert not hub.erased("ada", hub.users["ada"])
        assert stream.revision == 6
        assert hub.moved("ada", 100)
        assert hub.erased("ada", 100)
        assert stream.revision == 101


async def test_a_stream_that_knows_nothing_yet_is_told_with_the_others(hub: Hub) -> None:
    old, new = EventStream("ada", float("inf")), EventStream("ada", float("inf"))
    with hub.holding(old):
        hub.moved("ada", 5)
        with hub.holding(new):
            assert not hub.moved("ada", 5)  # of which only the new one has not heard
            assert new.revision == 5


async def test_nobody_is_told_who_has_no_stream(hub: Hub) -> None:
    assert not hub.moved("ada", 5)
    assert not hub.erased("ada", 5)
    assert hub.users == {}
