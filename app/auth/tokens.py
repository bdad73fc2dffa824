"""Decides whether a bearer token is an access token of our Better Auth server, and whose."""

import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt

from app.auth.caller import Caller
from app.auth.keys import KeySource, SharedSecrets
from app.settings import Settings

TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
USER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
TYPES: Final = {None, "JWT", "at+jwt"}
MAXIMUM_LENGTH: Final = 8192
LEEWAY_SECONDS: Final = 10
"""Tolerance for `iat` and `nbf`; `exp` has none."""

DISPLAY_LENGTH: Final = 320
CACHE_ENTRIES: Final = 4096
CACHE_TOKEN_LENGTH: Final = 4096
CACHE_SECONDS: Final = 60


class TokenVerifier:
    """Verifies tokens, and remembers verdicts until `exp`, at most 60 s: a signature costs more than Litestar does."""

    def __init__(self, settings: Settings) -> None:
        self._sources: dict[str, KeySource] = {settings.jwt_algorithm: SharedSecrets(settings.secrets)}
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._verdicts: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    async def verify(self, token: str) -> Caller | None:
        """Return who the token speaks for, or None if it has to be refused."""
        verdict = self._verdicts.get(token)
        if verdict is not None:
            caller, until = verdict
            if time.time() < until:
                self._verdicts.move_to_end(token)
                return caller
            del self._verdicts[token]
        claims = await self._claims(token)
        if claims is None:
            return None
        caller = Caller(claims["sub"], _display(claims.get("email")), _display(claims.get("name")))
        if len(token) <= CACHE_TOKEN_LENGTH:
            self._verdicts[token] = caller, min(claims["exp"], time.time() + CACHE_SECONDS)
            if len(self._verdicts) > CACHE_ENTRIES:
                self._verdicts.popitem(last=False)
        return caller

    async def _claims(self, token: str) -> dict[str, Any] | None:
        """Check shape, header, signature and claims; every way to fail ends in None."""
        if len(token) > MAXIMUM_LENGTH or not TOKEN.fullmatch(token):
            return None
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if not isinstance(algorithm, str) or algorithm not in self._sources or not _plain(header):
                return None
            return self._verified(token, algorithm, await self._sources[algorithm].candidates(header))
        except (jwt.PyJWTError, TypeError, ValueError, ArithmeticError, RecursionError):
            return None  # PyJWT lets the last four escape for hostile claims

    def _verified(self, token: str, algorithm: str, keys: Sequence[Any]) -> dict[str, Any] | None:
        for key in keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    leeway=LEEWAY_SECONDS,
                    options={"require": ["exp", "sub"], "verify_aud": False, "verify_iss": False},
                )
            except jwt.InvalidSignatureError:
                continue
            return claims if self._acceptable(claims) else None
        return None

    def _acceptable(self, claims: dict[str, Any]) -> bool:
        """Apply the rules that PyJWT has no option for."""
        expires, subject = claims["exp"], claims["sub"]
        audience = claims.get("aud")
        return (
            isinstance(expires, (int, float))
            and not isinstance(expires, bool)
            and time.time() < expires
            and USER_ID.fullmatch(subject) is not None
            and claims.get("iss") == self._issuer
            and (self._audience in audience if isinstance(audience, list) else audience == self._audience)
        )


def _plain(header: Mapping[str, Any]) -> bool:
    kind = header.get("typ")
    return (kind is None or isinstance(kind, str)) and kind in TYPES and "crit" not in header


def _display(claim: object) -> str | None:
    """Return a claim that is shown to people, if it is text that a database can hold."""
    if not isinstance(claim, str) or len(claim) > DISPLAY_LENGTH or "\x00" in claim:
        return None
    try:
        claim.encode()
    except UnicodeEncodeError:
        return None
    return claim
