"""What a keyed create stands for, as one number: the same key with another number is another task."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from msgspec import msgpack

from app.tasks.schemas import TaskCreate

DEFAULTS: Final = TaskCreate(title="…").present()


def fingerprint(values: Mapping[str, Any]) -> int:
    """Hash a new task's values, as the checks have left them, to a signed 64-bit number; its uid does not count.

    The number is stored and compared by later versions. So what is not said, said to be null, or said to be what it
    would be anyhow is left out, and fields to come change nothing for bodies without them.
    """
    said = {name: value for name, value in values.items() if name != "uid" and value != DEFAULTS.get(name)}
    text = msgpack.encode(sorted(said.items()))
    return int.from_bytes(blake2b(text, digest_size=8).digest(), signed=True)
