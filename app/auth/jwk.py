"""Public keys (RFC 7517): a key's own type and curve say which algorithms it may verify, whatever a token claims."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import jwt
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from msgspec import Struct

MINIMUM_RSA_BITS: Final = 2048
MAXIMUM_KEYS: Final = 20
MAXIMUM_ID_LENGTH: Final = 256

EDDSA: Final = frozenset({"EdDSA", "Ed25519"})
"""Two names of one algorithm (RFC 8037, RFC 9864)."""

CURVES: Final = {"P-256": frozenset({"ES256"}), "P-384": frozenset({"ES384"}), "P-521": frozenset({"ES512"})}
RSA: Final = frozenset({"RS256", "RS512", "PS256"})

PUBLIC_MEMBERS: Final = ("kty", "crv", "x", "y", "n", "e")


class VerificationKey(Struct, frozen=True, eq=False):
    """A public key, the algorithms it may verify, and the JWK that it was read from."""

    key_id: str
    algorithms: frozenset[str]
    key: Any
    jwk: dict[str, Any]


def read_set(document: Any, known: Mapping[str, VerificationKey]) -> dict[str, VerificationKey]:
    """Read a JWK set, by key id. Keys that cannot be used are left out; unchanged ones stay the objects in `known`.

    Raises ValueError for what is no key set at all.
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JWK set")  # noqa: TRY004 - wrong content, like every other reason
    entries = [entry for entry in document["keys"] if isinstance(entry, dict)]
    if len(entries) > MAXIMUM_KEYS:
        raise ValueError(f"more than {MAXIMUM_KEYS} keys")
    ids = Counter(entry["kid"] for entry in entries if isinstance(entry.get("kid"), str))
    keys = {}
    for entry in entries:
        key_id = entry.get("kid")
        if not isinstance(key_id, str) or not 0 < len(key_id) <= MAXIMUM_ID_LENGTH or ids[key_id] > 1:
            continue
        old = known.get(key_id)
        key = old if old is not None and old.jwk == entry else _read(key_id, entry)
        if key is not None:
            keys[key_id] = key
    return keys


def _read(key_id: str, jwk: dict[str, Any]) -> VerificationKey | None:
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    public: dict[str, Any] = {name: jwk[name] for name in PUBLIC_MEMBERS if name in jwk}
    try:
        algorithms, key = _public_key(public)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    named = jwk.get("alg")
    if isinstance(named, str):
        algorithms = algorithms & (EDDSA if named in EDDSA else {named})
    elif named is not None:
        return None
    return VerificationKey(key_id, algorithms, key, jwk) if algorithms else None


def _public_key(jwk: dict[str, Any]) -> tuple[frozenset[str], Any]:
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            return EDDSA, OKPAlgorithm.from_jwk(jwk)
        case "EC", ("P-256" | "P-384" | "P-521") as curve:
            return CURVES[curve], ECAlgorithm.from_jwk(jwk)
        case "RSA", None:
            key = RSAAlgorithm.from_jwk(jwk)
            if key.key_size >= MINIMUM_RSA_BITS:
                return RSA, key
    raise ValueError("not a key of a kind that Better Auth uses")
