import time
from typing import Any

import jwt

from app.settings import Settings


def mint(settings: Settings, user_id: str, seconds: int) -> str:
    """Sign an access token for `user_id` that this service accepts for `seconds`, as a bridge to Better Auth would."""
    now = int(time.time())
    claims: dict[str, Any] = {"sub": user_id, "iat": now, "exp": now + seconds}
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, settings.secrets[0], algorithm=settings.jwt_algorithm)
