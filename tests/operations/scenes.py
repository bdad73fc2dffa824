"""What users do before a backup, in the time that is lost, and after the restore."""

from collections.abc import Callable
from typing import NamedTuple

from tests.operations.memory import Client


class Users(NamedTuple):
    quiet: Client
    """Does nothing in the lost time."""
    busy: Client
    """Creates, changes and deletes in it."""
    newcomer: Client
    """Appears in it."""
    erased: Client
    """Erases the account in it."""
    returned: Client
    """Erases the account in it, and comes back at once."""

    @classmethod
    def of(cls, client: Callable[[], Client]) -> "Users":
        return cls(*(client() for _ in cls._fields))


def before(users: Users) -> None:
    for user in users:
        if user is not users.newcomer:
            for number in range(5):
                user.create(f"Before {number}")
            user.look()


def lost(users: Users) -> None:
    changed, _, gone, *_ = (f"/api/me/tasks/{task['id']}" for task in users.busy.look_at_all())
    users.busy.change(changed)
    users.busy.delete(gone)
    for user in (users.busy, users.newcomer):
        for number in range(3):
            user.create(f"Lost {number}")
            user.look()
    for user in (users.erased, users.returned):
        user.erase()
    users.returned.create("Lost")
    for user in users:
        user.look()


def after(users: Users) -> None:
    """Fails if anybody is told something that is not so."""
    seen = {number for user in users for number in user.ids}
    for user in users:
        user.assert_is_told_nothing_wrong()
        user.assert_each_copy_becomes_the_list_or_is_given_up()
    for number in range(5):
        for user in users:
            path = user.create(f"After {number}")
            assert int(path.rpartition("/")[2]) not in seen
            user.look()
    for user in users:
        user.assert_is_told_nothing_wrong()
        user.assert_overwrites_nothing_unseen()
        user.assert_each_copy_becomes_the_list_or_is_given_up()
        user.assert_each_key_makes_one_task()
