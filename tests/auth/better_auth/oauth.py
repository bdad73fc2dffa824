"""An OAuth client of a real Better Auth server: it registers, and gets tokens for an authorization code with PKCE."""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from tests.auth.better_auth.issuer import SECONDS, Account, Issuer

RESOURCE: Final = "https://api.example.org"
ADDRESS: Final = "https://client.example.org"
CALLBACK: Final = f"{ADDRESS}/callback"
PROVIDER: Final[dict[str, Any]] = {
    "loginPage": "/sign-in",
    "consentPage": "/consent",
    "scopes": ["openid", "profile", "email", "offline_access", "tasks:read", "tasks:write"],
    "resources": [RESOURCE],
    "clientRegistrationDefaultResources": [RESOURCE],
    "allowDynamicClientRegistration": True,
    "allowUnauthenticatedClientRegistration": True,
}
"""The options of the provider's plugin, as docs/authentication.md has them, and that anybody may register a client."""


@dataclass(frozen=True)
class Client:
    """A public client (RFC 6749, section 2.1) that registered itself (RFC 7591)."""

    issuer: Issuer
    id: str

    @classmethod
    async def register(cls, issuer: Issuer) -> Self:
        metadata = {
            "client_name": "A calendar",
            "redirect_uris": [CALLBACK],
            "backchannel_logout_uri": f"{ADDRESS}/logout",
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        }
        async with httpx.AsyncClient(timeout=SECONDS) as http:
            response = await http.post(f"{issuer.url}/oauth2/register", json=metadata)
        return cls(issuer, response.raise_for_status().json()["client_id"])

    async def tokens(
        self, account: Account, scope: str, *, resource: str | None = RESOURCE, bound: bool = False
    ) -> dict[str, Any]:
        """Have the user grant the scope, and return the answer of the token endpoint.

        Without `resource` the access token is opaque; with `bound` it is bound to a key of the client (RFC 9449).
        """
        verifier = secrets.token_urlsafe(48)
        target = {} if resource is None else {"resource": resource}
        asked = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": secrets.token_urlsafe(8),
            "nonce": secrets.token_urlsafe(8),
            "code_challenge": _segment(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
            **target,
        }
        exchange = {
            "grant_type": "authorization_code",
            "code": await _granted(account, asked),
            "redirect_uri": CALLBACK,
            "client_id": self.id,
            "code_verifier": verifier,
            **target,
        }
        address = f"{self.issuer.url}/oauth2/token"
        headers = {"DPoP": _proof(address)} if bound else {}
        async with httpx.AsyncClient(timeout=SECONDS) as http:
            response = await http.post(address, data=exchange, headers=headers)
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer


async def _granted(account: Account, asked: dict[str, str]) -> str:
    """Let the user consent in the browser, unless that happened before, and return the authorization code."""
    response = await account.browser.get("oauth2/authorize", params=asked)
    address = urlsplit(response.headers["location"])
    if address.path == PROVIDER["consentPage"]:
        answer = {"accept": True, "oauth_query": address.query}
        response = (await account.browser.post("oauth2/consent", json=answer)).raise_for_status()
        address = urlsplit(response.json()["url"])
    query = parse_qs(address.query)
    assert query["state"] == [asked["state"]]
    (code,) = query["code"]
    return code


def _proof(address: str) -> str:
    """Sign a DPoP proof with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.get_algorithm_by_name("ES256").to_jwk(key.public_key(), as_dict=True)
    claims = {"htm": "POST", "htu": address, "iat": int(time.time()), "jti": secrets.token_urlsafe(16)}
    return jwt.encode(claims, key, "ES256", headers={"typ": "dpop+jwt", "jwk": public})


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
