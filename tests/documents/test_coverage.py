"""Each code block of the documentation is run or checked by a test; what cannot be is listed here with its reason."""

import re

from tests.documents.blocks import blocks
from tests.processes import ROOT

RUN = {
    "bash": "tests/documents/test_shell.py",
    "json": "tests/documents/test_answers.py",
    "yaml": "tests/documents/test_answers.py",
}
"""Languages whose blocks a test takes from every document."""

RUN_BY = {
    ("docs/api.md", "js"): "tests/clients/clients.py",
    ("docs/authentication.md", "ts"): "tests/frontend/site.py",
    ("docs/authentication.md", "tsx"): "tests/frontend/site.py",
    ("docs/data-model.md", "sql"): "tests/documents/test_sql.py",
    ("docs/deployment.md", "sql"): "tests/deployment/test_roles.py",
    ("docs/development.md", "python"): "tests/documents/test_migrations.py",
    ("docs/operations.md", "ini"): "tests/operations/drill.py",
    ("docs/operations.md", "promql"): "tests/operations/test_alerts.py",
    ("docs/operations.md", "sql"): "tests/operations/drill.py",
    ("docs/scaling.md", "sql"): "tests/documents/test_sql.py",
    ("docs/security.md", "caddyfile"): "tests/documents/proxies.py",
    ("docs/security.md", "nginx"): "tests/documents/proxies.py",
    ("docs/sync.md", "typescript"): "tests/clients/sync/test_sync.py",
}
"""Tests that read a language from one document; those name the document."""

NOT_RUN = {
    ("docs/architecture.md", "SELECT answer.revision"): "a shape with … in it: app/db/lateral.py writes the statement",
    (
        "docs/data-model.md",
        "WITH bump AS (\n",
    ): "a shape with <…> in it: tests/tasks/test_statements.py has the statement",
    ("docs/data-model.md", "WITH bump AS (  --"): "the same",
    ("docs/data-model.md", "SELECT revision, CASE"): "the same",
    ("docs/data-model.md", "WITH owner AS"): "the same: tests/test_purge.py runs the statement",
    ("docs/scaling.md", "-- once, on the coordinator"): "needs three machines with Citus",
    ("docs/scaling.md", "EXPLAIN (VERBOSE"): "the same",
}
"""Blocks by document and first words, and why none of their text is run."""


def test_each_block_is_run_by_a_test_or_listed_with_a_reason() -> None:
    unknown = [
        str(block)
        for block in blocks()
        if block.language  # the others are outlines and what programs print
        and block.language not in RUN
        and (block.document, block.language) not in RUN_BY
        and not any(block.document == document and block.text.startswith(first) for document, first in NOT_RUN)
    ]
    assert unknown == []


def test_each_entry_is_of_a_block_that_is_there() -> None:
    assert RUN_BY.keys() <= {(block.document, block.language) for block in blocks()}
    for document, first in NOT_RUN:
        [_] = [block for block in blocks() if block.document == document and block.text.startswith(first)]


def test_each_test_that_is_named_reads_that_document() -> None:
    for (document, _), test in RUN_BY.items():
        assert re.search(rf'"{document}"|"{document.removeprefix("docs/")}"', (ROOT / test).read_text()), test
