"""An issuer of the tests' own, a verifier that believes it, and a database for Better Auth's tables."""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from app.auth.caller import Refused
from app.auth.tokens import TokenVerifier
from app.db.database import Database
from app.errors import Problem
from app.settings import Settings
from tests.auth.attacks import ORIGIN, SECRET, VICTIM, access
from tests.auth.issuer import Issuer, SigningKey, issuing


def new_key(algorithm: str = "EdDSA") -> SigningKey:
    return SigningKey.make(algorithm, secrets.token_hex(8))


def fresh(key: SigningKey) -> str:
    """Sign a token that nobody has seen before."""
    return key.token(access(jti=secrets.token_hex(8)))


def verifier_for(issuer: Issuer) -> TokenVerifier:
    settings = Settings(
        database_url="postgresql://localhost/none",
        better_auth_secret=SECRET,
        better_auth_url=ORIGIN,
        jwks_url=f"{issuer.url}/api/auth/jwks",
    )
    return TokenVerifier(settings, Database(settings))


async def accepts(verifier: TokenVerifier, token: str) -> bool:
    try:
        return (await verifier.verify(token)).id == VICTIM
    except Refused:
        return False


async def cannot_tell(verifier: TokenVerifier, token: str) -> bool:
    """Whether the answer is that nobody can tell now."""
    try:
        await verifier.verify(token)
    except Refused:
        return False
    except Problem as problem:
        return (problem.status, problem.code) == (503, "issuer_unavailable") and "Retry-After" in problem.headers
    return False


@pytest.fixture
def key() -> SigningKey:
    return new_key()


@pytest.fixture
async def issuer(key: SigningKey) -> AsyncIterator[Issuer]:
    async with issuing(key) as issuer:
        yield issuer


@pytest.fixture
def verifier(issuer: Issuer) -> TokenVerifier:
    return verifier_for(issuer)


@pytest.fixture(scope="module")
def ours(create_database: Callable[[], str], settings: Settings) -> Settings:
    """Settings on a database without tables."""
    return replace(settings, database_url=create_database())
