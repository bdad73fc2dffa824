"""The name that a statement has for people stands in its SQL as a comment, and can be read from there again."""

import re
from typing import Final

NAME: Final = re.compile(r"/\* ([a-z_]+\.[a-z_.]+) \*/")


def comment(name: str) -> str:
    """Return the name as it stands in SQL."""
    return f"/* {name} */"


def with_name(name: str, sql: str) -> str:
    """Write the name behind the first word, so that it stays where the text around a statement is trimmed."""
    first, rest = sql.split(maxsplit=1)
    return f"{first} {comment(name)} {rest}"


def name_in(sql: str) -> str | None:
    """Return the name in a statement of ours, None for those of others."""
    found = NAME.search(sql)
    return found and found[1]
