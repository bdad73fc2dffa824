"""The issuer's public keys (RFC 7517), from Better Auth's endpoint or from its table `jwks` in our own database.

A key's own type and curve say which algorithms it may verify, whatever a token claims.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from ssl import SSLContext
from typing import Annotated, Any, Final, Literal

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import DecodeError, Meta, Struct, ValidationError, convert, json, to_builtins

from app.db.database import Database
from app.db.statement import Statement

MINIMUM_RSA_BITS: Final = 2048
MAXIMUM_KEYS: Final = 20
MAXIMUM_BYTES: Final = 64 * 1024
EDDSA: Final = ("EdDSA", "Ed25519")  # two names of one algorithm (RFC 8037, RFC 9864)
ALGORITHMS: Final = {
    ("OKP", "Ed25519"): EDDSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("RSA", None): ("RS256", "RS512", "PS256"),
}
"""What a key may verify, by its type and curve."""
TABLE: Final = Statement(
    "keys.read",
    """
SELECT coalesce(json_agg(json_build_array(
    coalesce(key ->> 'publicKey', key ->> 'public_key'),
    json_strip_nulls(json_build_object('kid', key ->> 'id', 'alg', key ->> 'alg'))
)), '[]')::text
FROM (SELECT to_jsonb(entry) AS key FROM jwks AS entry) AS keys
WHERE coalesce(coalesce(key ->> 'expiresAt', key ->> 'expires_at')::timestamptz + interval '30 days' > now(), true)
""",
    (),
)
"""The keys that Better Auth's endpoint would show (its option jwks.gracePeriod), in both spellings of its columns. The
private keys never leave the database."""


class JWK(Struct, frozen=True, omit_defaults=True):
    """The members of a key that are looked at; private ones are not."""

    kid: Annotated[str, Meta(min_length=1, max_length=256)]
    kty: str
    use: Literal["sig"] = "sig"
    key_ops: frozenset[str] = frozenset({"verify"})
    alg: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None
    n: str | None = None
    e: str | None = None


class VerificationKey(Struct, frozen=True, eq=False):
    """A public key and the algorithms it may verify."""

    jwk: JWK
    key: Any
    algorithms: frozenset[str]


def read_keys(entries: Sequence[Any], known: Mapping[str, VerificationKey]) -> dict[str, VerificationKey]:
    """Read the usable keys, by id; unchanged ones stay the objects in `known`. Raises ValueError for too many."""
    if len(entries) > MAXIMUM_KEYS:
        raise ValueError(f"more than {MAXIMUM_KEYS} keys")
    ids = Counter(entry["kid"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("kid"), str))
    keys = {}
    for entry in entries:
        try:
            jwk = convert(entry, JWK)
        except ValidationError:
            continue
        old = known.get(jwk.kid)
        key = old if old is not None and old.jwk == jwk else _read(jwk)
        if key is not None and ids[jwk.kid] == 1:
            keys[jwk.kid] = key
    return keys


def _read(jwk: JWK) -> VerificationKey | None:
    possible = ALGORITHMS.get((jwk.kty, jwk.crv), ())
    algorithms = frozenset(possible)
    if jwk.alg is not None:
        algorithms &= {*EDDSA} if jwk.alg in EDDSA else {jwk.alg}
    if not algorithms or "verify" not in jwk.key_ops:
        return None
    try:
        key = jwt.PyJWK(to_builtins(jwk), possible[0]).key
    except jwt.PyJWTError:
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < MINIMUM_RSA_BITS:
        return None
    return VerificationKey(jwk, key, algorithms)


async def fetch_endpoint(url: str) -> list[Any]:
    """Return the keys of the set at `url`. Redirects and large answers are errors; the caller sets a deadline."""
    body = b""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}  # the limit counts what arrives
    async with (
        httpx.AsyncClient(verify=_tls(), follow_redirects=False, timeout=None) as client,  # noqa: S113 - see above
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"status {response.status_code}")
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAXIMUM_BYTES:
                raise ValueError("too large")
    return convert(json.decode(body)["keys"], list[Any])  # msgspec would let wrong UTF-8 pass in what a type skips


@cache
def _tls() -> SSLContext:
    return httpx.create_ssl_context()  # reads the list of certificate authorities, which is long


async def fetch_table(database: Database) -> list[Any]:
    """Return the keys in Better Auth's table."""
    record = await database.fetch(TABLE, {})
    assert record is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    keys: list[Any] = []
    for public, names in json.decode(record[0]):
        with suppress(DecodeError, TypeError):
            keys.append({**json.decode(public), **names})
    return keys
