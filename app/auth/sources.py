"""Where a JWK set comes from: Better Auth's endpoint, or its table in our own database."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from msgspec import DecodeError, ValidationError, convert, json

from app.db.database import Database
from app.db.statement import Statement

MAXIMUM_BYTES: Final = 64 * 1024
GRACE: Final = timedelta(days=30)
"""How long Better Auth's own endpoint shows a key after it expired (its option jwks.gracePeriod)."""

HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""Unpacked, because the limit counts what arrives."""

ROWS: Final = Statement(
    "SELECT coalesce(json_agg(to_jsonb(entry) - 'privateKey' - 'private_key'), '[]')::text FROM jwks AS entry", ()
)
"""Whatever the columns are called; the private keys never leave the database."""


class Endpoint:
    """A JWKS endpoint over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: httpx.AsyncClient | None = None

    async def fetch(self) -> Any:
        """Return the decoded JSON. Raises httpx.HTTPError or ValueError; redirects and large answers are errors."""
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=None)  # noqa: S113 - the caller has a deadline
        body = b""
        async with self._client.stream("GET", self._url, headers=HEADERS) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"status {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAXIMUM_BYTES:
                    raise ValueError("too large")
        return json.decode(body)

    async def close(self) -> None:
        """Close kept connections."""
        if self._client is not None:
            await self._client.aclose()


class Table:
    """Better Auth's table `jwks`, in its camelCase or a snake_case schema."""

    def __init__(self, lane: Database) -> None:
        self._lane = lane

    async def fetch(self) -> Any:
        """Return the table's keys that its endpoint would show, as a JWK set."""
        record = await self._lane.fetch(ROWS, {})
        assert record is not None  # noqa: S101 - an aggregate without GROUP BY has one row
        return {"keys": [_jwk(row) for row in json.decode(record[0]) if not _gone(row)]}

    async def close(self) -> None:
        """Leave the lane to its owner."""


def _jwk(row: dict[str, Any]) -> Any:
    try:
        public = json.decode(row.get("publicKey") or row.get("public_key") or "")
    except DecodeError:
        return None
    if not isinstance(public, dict):
        return None
    named = {"alg": row["alg"]} if row.get("alg") else {}
    return {**public, **named, "kid": str(row.get("id"))}


def _gone(row: dict[str, Any]) -> bool:
    expires = row.get("expiresAt") or row.get("expires_at")
    if expires is None:
        return False
    try:
        moment = convert(expires, datetime)
    except ValidationError:
        return True
    return moment.replace(tzinfo=moment.tzinfo or UTC) + GRACE < datetime.now(UTC)
