import time
from typing import Any

import jwt

from app.settings import Settings, SettingsError


def mint(settings: Settings, user_id: str, seconds: int) -> str:
    """Sign a token that is accepted for `seconds`, as a bridge would. Raises SettingsError if there is no secret."""
    if not settings.secrets:
        raise SettingsError("BETTER_AUTH_SECRET is not set, and nobody but Better Auth can sign with its own keys.")
    now = int(time.time())
    claims: dict[str, Any] = {"sub": user_id, "iat": now, "exp": now + seconds}
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience[0]
    return jwt.encode(claims, settings.secrets[0], algorithm="HS256")
