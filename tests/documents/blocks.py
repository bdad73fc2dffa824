"""The code blocks of the documentation, and the commands in those of the shell."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Final

from tests.processes import ROOT

DOCUMENTS: Final = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]


@dataclass(frozen=True)
class Block:
    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(language: str | None = None) -> list[Block]:
    return [block for block in _all() if language in {None, block.language}]


def the_block(document: str, language: str, containing: str) -> str:
    """Return the text of the only block of a document that contains a text."""
    [block] = [one for one in blocks(language) if one.document == document and containing in one.text]
    return block.text


def commands(block: Block) -> list[tuple[str, ...]]:
    """The words of each command, without comments, `sudo`, and what uv needs to find it."""
    text = re.sub(r"^[A-Z_]+=\$\((.*)\)$", r"\1", block.text.replace("\\\n", " "), flags=re.MULTILINE)
    lines = text.splitlines()
    found = [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
    return [tuple(_bare(words)) for words in found if words]


def _bare(words: list[str]) -> list[str]:
    match words:
        case ["uv", "run", "--group", _, *rest] | ["uv", "run", *rest] | ["sudo", *rest]:
            return rest
        case [variable, *rest] if rest and re.fullmatch(r"[A-Z_]+=.*", variable):
            return _bare(rest)
        case _:
            return words


def _all() -> Iterator[Block]:
    for path in DOCUMENTS:
        text = path.read_text()
        for found in re.finditer(r"^( *)```(\w*)\n(.*?)^\1```$", text, flags=re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(str(path.relative_to(ROOT)), line, found[2], dedent(found[3]))
