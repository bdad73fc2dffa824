"""Decides whether a bearer token is an access token of our Better Auth server, and whose."""

import binascii
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import jwt
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_decode
from msgspec import Struct

from app.auth import claims as rules
from app.auth.accounts import Accounts
from app.auth.caller import Caller
from app.auth.keys import SHARED, sources
from app.auth.refusal import Refused
from app.db.database import Database
from app.settings import ASYMMETRIC, Settings

TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
SESSION_TOKEN: Final = re.compile(r"[A-Za-z0-9]{32}(\.[A-Za-z0-9+/%=_-]{40,})?")
TYPES: Final = {None, "JWT", "at+jwt"}
MAXIMUM_LENGTH: Final = 8192
MAXIMUM_DEPTH: Final = 32
CACHE_ENTRIES: Final = 4096
CACHE_TOKEN_LENGTH: Final = 4096
CACHE_SECONDS: Final = 60

HINTS: Final = {SHARED: ": set BETTER_AUTH_SECRET"} | dict.fromkeys(ASYMMETRIC, ": set BETTER_AUTH_URL")

SIGNATURES: Final = jwt.PyJWS()
SIGNATURES.register_algorithm("Ed25519", OKPAlgorithm())  # the name of RFC 9864, which PyJWT 2.15 does not know


class Verdict(Struct, frozen=True):
    """A caller, the second until which nobody has to ask again, and whether the key still counts."""

    caller: Caller
    until: float
    counts: Callable[[], bool]


class TokenVerifier:
    """Verifies tokens, and remembers verdicts until `exp`, at most 60 s: a signature costs more than Litestar does."""

    def __init__(self, settings: Settings, lane: Database | None = None) -> None:
        self._sources = sources(settings, lane)
        self._accepts_sessions = settings.accept_session_jwt
        self._accounts = Accounts(lane) if settings.check_user and lane is not None else None
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """Return who the token speaks for. Raises Refused, or Problem (503) if whoever knows cannot be asked."""
        verdict = self._verdicts.get(token)
        if verdict is not None:
            if time.time() < verdict.until and verdict.counts():
                self._verdicts.move_to_end(token)
                return verdict.caller
            del self._verdicts[token]
        verdict = await self._verdict(token)
        if len(token) <= CACHE_TOKEN_LENGTH:
            self._verdicts[token] = verdict
            if len(self._verdicts) > CACHE_ENTRIES:
                self._verdicts.popitem(last=False)
        return verdict.caller

    async def close(self) -> None:
        """Close connections to the issuer."""
        for source in {id(source): source for source in self._sources.values()}.values():
            await source.close()

    async def _verdict(self, token: str) -> Verdict:
        algorithm, key_id = self._header(token)
        source = self._sources[algorithm]
        for candidate in await source.candidates(algorithm, key_id):
            claims = _signed(token, algorithm, candidate.key)
            if claims is not None:
                break
        else:
            hint = (
                "is BETTER_AUTH_SECRET the one that signed it?" if algorithm == SHARED else "it was changed on its way"
            )
            raise Refused(f"its signature is not right: {hint}")
        if algorithm == SHARED and self._accepts_sessions and rules.is_session(claims):
            caller = rules.session_caller_of(claims)
        else:
            caller = rules.caller_of(claims, source.policy)
        until = min(claims["exp"], time.time() + CACHE_SECONDS)
        if self._accounts is not None:
            until = min(until, await self._accounts.checked_until(caller.id))
        return Verdict(caller, until, candidate.counts)

    def _header(self, token: str) -> tuple[str, object]:
        """Return algorithm and key id of a well-formed token. Raises Refused."""
        if len(token) > MAXIMUM_LENGTH:
            raise Refused(f"it is longer than {MAXIMUM_LENGTH} characters")
        if not TOKEN.fullmatch(token):
            raise Refused(_shape(token))
        try:
            header = _object(base64url_decode(token.partition(".")[0]), "header")
        except binascii.Error:
            raise Refused("its header is not base64url") from None
        algorithm, kind = header.get("alg"), header.get("typ")
        if not isinstance(algorithm, str):
            raise Refused("its header names no algorithm")
        if (kind is not None and not isinstance(kind, str)) or kind not in TYPES:
            raise Refused(f"its type is {kind!r:.100}: that is another kind of token")
        if "crit" in header:
            raise Refused("its header has critical extensions (`crit`), and none is understood")
        if algorithm not in self._sources:
            configured = ", ".join(self._sources) or "nothing"
            raise Refused(
                f"it is signed with {algorithm!r:.40}, but only {configured} is configured{HINTS.get(algorithm, '')}"
            )
        return algorithm, header.get("kid")


def _signed(token: str, algorithm: str, key: Any) -> dict[str, Any] | None:
    """Return the claims if this key signed them. Raises Refused for what was signed, but is no set of claims."""
    try:
        payload = SIGNATURES.decode(token, key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return _object(payload, "payload")


def _object(data: bytes, part: str) -> dict[str, Any]:
    """Read a JSON object in UTF-8; unlike msgspec this takes lone surrogates, which a user's name may hold."""
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not _is_shallow(value):
        raise Refused(f"its {part} is not a JSON object, or one that is nested too deep")
    return value


def _is_shallow(value: Any, depth: int = MAXIMUM_DEPTH) -> bool:
    """Tell whether a value has at most this many levels: how much the reader takes depends on the Python version."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_shallow(member, depth - 1) for member in inner)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _shape(token: str) -> str:
    if SESSION_TOKEN.fullmatch(token):
        return "it is a session token, not a JWT: call /api/auth/token with it to get one"
    if token.count(".") == 4:  # noqa: PLR2004 - parts of a JWE (RFC 7516)
        return "it is encrypted (JWE): only signed tokens are understood"
    return "it is not a JWT: three parts of base64url without padding, joined by dots"
