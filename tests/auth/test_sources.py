import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.auth.sources import Table
from app.db.statement import Statement

PUBLIC = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}


class Lane:
    """Answers with the rows of a table."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = rows

    async def fetch(self, _: Statement, __: dict[str, Any]) -> tuple[str]:
        return (json.dumps(self._rows),)


async def keys(*rows: dict[str, Any]) -> Any:
    return (await Table(Lane(*rows)).fetch())["keys"]  # type: ignore[arg-type]  # a lane in all that matters here


@pytest.mark.parametrize("column", ["publicKey", "public_key"])
async def test_a_row_is_a_key_under_its_own_id_whatever_the_columns_are_called(column: str) -> None:
    row = {"id": "k1", column: json.dumps({**PUBLIC, "kid": "not this"}), "alg": "EdDSA"}
    assert await keys(row) == [{**PUBLIC, "kid": "k1", "alg": "EdDSA"}]
    assert await keys({"id": 7, column: json.dumps(PUBLIC), "alg": None}) == [{**PUBLIC, "kid": "7"}]


@pytest.mark.parametrize("text", [None, "", "not JSON", "[]", "5"])
async def test_a_row_without_a_public_key_is_none(text: str | None) -> None:
    assert await keys({"id": "k1", "publicKey": text}) == [None]


@pytest.mark.parametrize("column", ["expiresAt", "expires_at"])
@pytest.mark.parametrize(
    ("days", "shown"), [(None, True), (1, True), (-29, True), (-31, False)], ids=["never", "ahead", "in grace", "gone"]
)
async def test_a_key_is_shown_for_thirty_days_after_it_expired(column: str, days: int | None, shown: bool) -> None:
    moment = None if days is None else datetime.now(UTC) + timedelta(days=days)
    forms = {moment and moment.isoformat(), moment and moment.replace(tzinfo=None).isoformat()}
    for text in forms:
        row = {"id": "k1", "publicKey": json.dumps(PUBLIC), column: text}
        assert (len(await keys(row)) == 1) is shown


async def test_a_key_whose_expiry_cannot_be_read_is_left_out() -> None:
    assert await keys({"id": "k1", "publicKey": json.dumps(PUBLIC), "expiresAt": "soon"}) == []
