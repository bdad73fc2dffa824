"""`python -m tests.sync.order` does the same for a minute."""

from app.settings import Settings
from tests.processes import Server
from tests.sync import order
from tests.sync.busy_writers import KINDS

SECONDS = 4


async def test_no_change_is_missed_or_out_of_order_while_20_clients_write_through_every_route(
    server: Server, settings: Settings
) -> None:
    outcome = await order.run(server.port, settings, SECONDS)
    assert outcome.problems == []
    assert outcome.writes.keys() == set(KINDS)
    assert 0 < outcome.late_changes < outcome.changes
    assert outcome.pulls > 1
