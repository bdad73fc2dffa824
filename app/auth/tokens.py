"""Decides whether a bearer token is an access token of our Better Auth server, and whose."""

import binascii
import json
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import jwt
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_decode
from msgspec import Struct

from app.auth.accounts import Accounts
from app.auth.caller import Caller, Refused
from app.auth.claims import caller_of
from app.auth.key_set import KeySet
from app.auth.keys import VerificationKey, fetch_endpoint, fetch_table
from app.db.database import Database
from app.settings import ASYMMETRIC, Settings

SYMMETRIC: Final = "HS256"
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
SESSION_TOKEN: Final = re.compile(r"[A-Za-z0-9]{32}(\.[A-Za-z0-9+/%=_-]{40,})?")
OPAQUE_TOKEN: Final = re.compile(r"[A-Za-z]{32}")  # one session token in 277 has no digit either
ACCESS_TOKEN: Final = ("at+jwt", "application/at+jwt")
"""The types of OAuth access tokens (RFC 9068, section 4), whose letters may be of either case."""
MAXIMUM_LENGTH: Final = 8192
MAXIMUM_DEPTH: Final = 32
CACHE_ENTRIES: Final = 4096
CACHE_TOKEN_LENGTH: Final = 4096
CACHE_SECONDS: Final = 60
HINTS: Final = {SYMMETRIC: ": set BETTER_AUTH_SECRET"} | dict.fromkeys(ASYMMETRIC, ": set BETTER_AUTH_URL")

SIGNATURES: Final = jwt.PyJWS()
SIGNATURES.register_algorithm("Ed25519", OKPAlgorithm())  # the name of RFC 9864, which PyJWT 2.15 does not know


class Verdict(Struct, frozen=True):
    """Whom a token speaks for, as long as its public key, if that is what signed it, stays the issuer's."""

    caller: Caller
    until: float
    key: VerificationKey | None


class TokenVerifier:
    """Verifies tokens, and remembers verdicts until `exp`, at most 60 s: a signature costs more than Litestar does."""

    def __init__(self, settings: Settings, database: Database) -> None:
        reads_table = settings.jwks_source == "database"
        url = None if reads_table else settings.keys_url
        self._settings = settings
        self._secrets = [secret.encode() for secret in settings.secrets]
        self._keys = KeySet(partial(fetch_endpoint, url) if url else partial(fetch_table, database))
        possible = [*([SYMMETRIC] if self._secrets else []), *(sorted(ASYMMETRIC) if url or reads_table else [])]
        self._algorithms = [name for name in possible if name in (settings.jwt_algorithm or possible)]
        self._accounts = Accounts(database) if settings.check_user else None
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()

    def remembered(self, token: str) -> Caller | None:
        """Return whom a token speaks for that was verified a moment ago."""
        verdict = self._verdicts.get(token)
        if verdict is None:
            return None
        if time.time() < verdict.until and (verdict.key is None or self._keys.holds(verdict.key)):
            self._verdicts.move_to_end(token)
            return verdict.caller
        del self._verdicts[token]
        return None

    @property
    def key_fetches(self) -> Mapping[str, int]:
        """How often the issuer was asked for its keys, by what came of it."""
        return self._keys.fetches

    async def verify(self, token: str) -> Caller:
        """Return whom the token speaks for. Raises Refused, or IssuerUnavailable and what `database.fetch` raises."""
        caller = self.remembered(token)
        if caller is not None:
            return caller
        verdict = await self._verdict(token)
        if len(token) <= CACHE_TOKEN_LENGTH:
            self._verdicts[token] = verdict
            if len(self._verdicts) > CACHE_ENTRIES:
                self._verdicts.popitem(last=False)
        return verdict.caller

    async def _verdict(self, token: str) -> Verdict:
        algorithm, key_id, access_token = self._header(token)
        if algorithm == SYMMETRIC:
            key = None
            claims = _claims(token, algorithm, self._secrets, "is BETTER_AUTH_SECRET the one that signed it?")
        else:
            key = await self._public_key(key_id, algorithm)
            claims = _claims(token, algorithm, [key.key], "it was altered or cut off")
        caller = caller_of(claims, self._settings, signed_with_secret=key is None, access_token=access_token)
        until = min(claims["exp"], time.time() + CACHE_SECONDS)
        if self._accounts is not None:
            until = min(until, await self._accounts.checked_until(caller.id))
        return Verdict(caller, until, key)

    def _header(self, token: str) -> tuple[str, object, bool]:
        """Return algorithm and key id of a well-formed token, and whether it says that it is an OAuth access token."""
        if len(token) > MAXIMUM_LENGTH:
            raise Refused("malformed", f"it is longer than {MAXIMUM_LENGTH} characters")
        if not TOKEN.fullmatch(token):
            raise _other_kind(token)
        try:
            header = _object(base64url_decode(token.partition(".")[0]), "header")
        except binascii.Error:
            raise Refused("malformed", "its header is not base64url") from None
        algorithm, kind = header.get("alg"), header.get("typ")
        if not isinstance(algorithm, str):
            raise Refused("malformed", "its header names no algorithm")
        access_token = isinstance(kind, str) and kind.lower() in ACCESS_TOKEN
        if not access_token and kind not in (None, "JWT"):
            raise Refused("other_kind", f"its type is {kind!r:.100}: that is another kind of token")
        if "crit" in header:
            raise Refused("malformed", "its header has critical extensions (`crit`), and none is understood")
        if algorithm not in self._algorithms:
            configured = ", ".join(self._algorithms) or "nothing"
            raise Refused(
                "algorithm",
                f"it is signed with {algorithm!r:.40}, but only {configured} is configured{HINTS.get(algorithm, '')}",
            )
        return algorithm, header.get("kid"), access_token

    async def _public_key(self, key_id: object, algorithm: str) -> VerificationKey:
        if not isinstance(key_id, str) or not key_id:
            raise Refused("unknown_key", "its header has no `kid`, so no key can be looked up for it")
        key = await self._keys.find(key_id)
        if key is None:
            raise Refused(
                "unknown_key", "it is signed with a key that the issuer does not publish: is it another server's?"
            )
        if algorithm not in key.algorithms:
            raise Refused("algorithm", f"its algorithm {algorithm} is not one that its key is for")
        return key


def _claims(token: str, algorithm: str, keys: Iterable[Any], hint: str) -> dict[str, Any]:
    for key in keys:
        with suppress(jwt.PyJWTError, ValueError, TypeError):
            return _object(SIGNATURES.decode(token, key, algorithms=[algorithm]), "payload")
    raise Refused("signature", f"its signature is not right: {hint}")


def _object(data: bytes, part: str) -> dict[str, Any]:
    """Read a JSON object in UTF-8; unlike msgspec this takes lone surrogates, which a user's name may hold."""
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not _is_shallow(value):
        raise Refused("malformed", f"its {part} is not a JSON object, or one that is nested too deep")
    return value


def _is_shallow(value: Any, depth: int = MAXIMUM_DEPTH) -> bool:
    """Tell whether a value has at most this many levels: how much the reader takes depends on the Python version."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_shallow(member, depth - 1) for member in inner)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _other_kind(token: str) -> Refused:
    if OPAQUE_TOKEN.fullmatch(token):
        return Refused("other_kind", "it is opaque, not a JWT: an OAuth client has to ask for this API with `resource`")
    if SESSION_TOKEN.fullmatch(token):
        return Refused("other_kind", "it is a session token, not a JWT: call /api/auth/token with it to get one")
    if token.count(".") == 4:  # noqa: PLR2004 - parts of a JWE (RFC 7516)
        return Refused("other_kind", "it is encrypted (JWE): only signed tokens are understood")
    return Refused("malformed", "it is not a JWT: three parts of base64url without padding, joined by dots")
