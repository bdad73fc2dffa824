"""Tokens that nobody may get in with: forged ones, and genuine ones that are meant for something else."""

import base64
import hashlib
import hmac
import json
import secrets
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import permutations
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from tests.auth.issuer import ALGORITHMS, SigningKey, raw, segment, signed_part

Table = Iterator[tuple[str, str]]

ORIGIN: Final = "https://auth.example.org"
SECRET: Final = secrets.token_urlsafe(32)
VICTIM: Final = f"u{secrets.token_hex(12)}"
DIGESTS: Final = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}

PRIMES: Final = {
    "ES256": 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    "ES384": 2**384 - 2**128 - 2**96 + 2**32 - 1,
    "ES512": 2**521 - 1,
}
ORDERS: Final = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "ES512": int("1" + "F" * 65 + "A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
}
BITS: Final = {"ES256": 256, "ES384": 384, "ES512": 521}
ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
SMALL_ORDER: Final = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000080",
)
"""Encodings of Ed25519 points whose order divides 8; the last two are not canonical."""

OCT_SECRET: Final = secrets.token_bytes(32)
OCT_KEY: Final = {"kty": "oct", "alg": "HS256", "kid": "oct", "k": segment(OCT_SECRET)}


@cache
def key(algorithm: str) -> SigningKey:
    """The issuer's key for the algorithm."""
    return SigningKey.make(algorithm, f"key-{algorithm}")


@cache
def stranger(algorithm: str) -> SigningKey:
    """An attacker's own key, under the key id of the issuer's."""
    return SigningKey.make(algorithm, f"key-{algorithm}")


@dataclass(frozen=True)
class SharedSecret:
    secret: bytes
    algorithm: str = "HS256"

    def sign(self, message: bytes) -> bytes:
        return hmac.digest(self.secret, message, DIGESTS[self.algorithm])

    def token(self, claims: Any, **header: Any) -> str:
        """Sign anything; a header member that is `...` is left out."""
        named = {"alg": self.algorithm, **header}
        message = signed_part({name: value for name, value in named.items() if value is not ...}, claims)
        return f"{message}.{segment(self.sign(message.encode()))}"


BRIDGE: Final = SharedSecret(SECRET.encode())
Signer = SigningKey | SharedSecret


def signers() -> dict[str, Signer]:
    """One legitimate signer of each of the two families."""
    return {"EdDSA": key("EdDSA"), "HS256": BRIDGE}


def access(**changes: Any) -> dict[str, Any]:
    """Claims of the jwt() plugin; what is `...` is left out."""
    now = int(time.time())
    named = {"sub": VICTIM, "iat": now, "exp": now + 900, "iss": ORIGIN, "aud": ORIGIN, **changes}
    return {name: value for name, value in named.items() if value is not ...}


def bridge(**changes: Any) -> dict[str, Any]:
    """Claims of a token that a frontend's server signs by itself."""
    return access(**{"iss": ..., "aud": ..., **changes})


def claims_of(signer: Signer, **changes: Any) -> dict[str, Any]:
    return access(**changes) if isinstance(signer, SigningKey) else bridge(**changes)


def genuine(algorithm: str) -> str:
    return BRIDGE.token(bridge()) if algorithm == "HS256" else key(algorithm).token(access())


def with_signature(token: str, change: Callable[[bytes], bytes]) -> str:
    message, _, signature = token.rpartition(".")
    return f"{message}.{segment(change(base64.urlsafe_b64decode(signature + '==')))}"


def hmac_with_public_keys() -> Table:
    """The oldest one: what everybody may read as the secret."""
    representations: dict[str, Callable[[SigningKey], bytes]] = {
        "PEM": lambda key: key.public_bytes(Encoding.PEM),
        "PEM without its last newline": lambda key: key.public_bytes(Encoding.PEM).rstrip(),
        "DER": lambda key: key.public_bytes(Encoding.DER),
        "JWK": lambda key: json.dumps(key.jwk()).encode(),
        "compact JWK": lambda key: json.dumps(key.jwk(), separators=(",", ":")).encode(),
        "number in base64url": lambda key: _number(key).encode(),
        "number": lambda key: base64.urlsafe_b64decode(_number(key) + "=="),
    }
    for algorithm in ALGORITHMS:
        for name, represent in representations.items():
            yield (
                f"HS256 with the {name} of the {algorithm} key",
                SharedSecret(represent(key(algorithm))).token(access(), kid=f"key-{algorithm}"),
            )
        for other in ("HS384", "HS512", algorithm):
            yield (
                f"HMAC as {other} with the PEM of the {algorithm} key",
                SharedSecret(key(algorithm).public_bytes(Encoding.PEM), other if other in DIGESTS else "HS256").token(
                    access(), alg=other, kid=f"key-{algorithm}"
                ),
            )


def _number(key: SigningKey) -> str:
    jwk = key.jwk()
    return str(jwk.get("x") or jwk["n"])


def confused_keys() -> Table:
    """A genuine key under the name of another, or of another algorithm."""
    for named, used in permutations(ALGORITHMS, 2):
        yield f"{used} signature under the id of the {named} key", key(used).token(access(), kid=f"key-{named}")
        if {named, used} != {"EdDSA", "Ed25519"}:
            yield f"{used} signature with alg {named}", key(used).token(access(), alg=named)
    for own, other in [("RS256", "RS512"), ("RS256", "PS256"), ("RS512", "RS256"), ("PS256", "RS256")]:
        yield f"{own} key used for {other}", key(own).using(other).token(access())
    for own, other in [("RS256", "RS384"), ("RS256", "PS384"), ("RS256", "PS512"), ("ES256", "ES384")]:
        yield f"{own} key used for {other}", key(own).using(other).token(access())
    for own, other in [("ES384", "ES256"), ("ES512", "ES256"), ("ES512", "ES384")]:
        yield f"{own} key used for {other}", key(own).using(other).token(access())
    for name in ("ES256K", "Ed448", "ES521", "EDDSA", "eddsa", "ed25519", "es256", "rs256", "RS1", "ML-DSA-44", "dir"):
        own = "RS256" if name.lower().startswith("rs") else "ES256" if name.lower().startswith("es") else "EdDSA"
        yield f"alg {name}", key(own).token(access(), alg=name)
    for algorithm in ALGORITHMS:
        yield f"a stranger's {algorithm} key under the issuer's id", stranger(algorithm).token(access())


def shared_secrets() -> Table:
    wrong: dict[str, bytes] = {
        "nothing": b"",
        "a stranger's": secrets.token_bytes(32),
        "decoded from base64": base64.urlsafe_b64decode(SECRET + "=="),
        "hashed": hashlib.sha256(SECRET.encode()).digest(),
        "with a newline": SECRET.encode() + b"\n",
        "without its last letter": SECRET[:-1].encode(),
        "in UTF-16": SECRET.encode("utf-16"),
        "the default of Better Auth": b"better-auth-secret-12345678901234567890",
        "the origin": ORIGIN.encode(),
    }
    for name, secret in wrong.items():
        yield f"HS256 with a wrong secret: {name}", SharedSecret(secret).token(bridge())
    for algorithm in ("HS384", "HS512"):
        yield f"{algorithm} with the right secret", SharedSecret(SECRET.encode(), algorithm).token(bridge())
    for name in ("hs256", "HS-256", "HS256 "):
        yield f"alg {name!r} with the right secret", BRIDGE.token(bridge(), alg=name)
    yield "HS256 with the published oct key", SharedSecret(OCT_SECRET).token(access(), kid="oct")
    yield "HS256 with the text of the published oct key", SharedSecret(OCT_KEY["k"].encode()).token(access())
    yield "HS256 with the key id as the secret", SharedSecret(b"key-EdDSA").token(access(), kid="key-EdDSA")
    yield "EdDSA named, signed with the shared secret", BRIDGE.token(access(), alg="EdDSA", kid="key-EdDSA")


def unsigned() -> Table:
    spellings: list[Any] = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "none\0",
        "",
        None,
        ...,
        [],
        ["none"],
        {},
        0,
        True,
    ]
    for spelling in spellings:
        head = {"alg": spelling, "typ": "JWT", "kid": "key-EdDSA"}
        if spelling is ...:
            del head["alg"]
        name = "missing" if spelling is ... else repr(spelling)
        for kind, signature in [("empty", ""), ("short", "AA"), ("long", segment(bytes(64)))]:
            yield f"alg {name} with {kind} signature", f"{signed_part(head, access())}.{signature}"
        for own, signer in signers().items():
            yield f"alg {name} with a genuine {own} signature", signer.token(claims_of(signer), alg=spelling)
    yield "alg none, escaped", signed_part(rb'{"alg":"\u006eone"}', access()) + "."


def damaged_signatures() -> Table:
    damages: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda _: b"",
        "one byte": lambda _: b"\0",
        "zero": lambda signature: bytes(len(signature)),
        "all ones": lambda signature: b"\xff" * len(signature),
        "one byte short": lambda signature: signature[:-1],
        "half": lambda signature: signature[: len(signature) // 2],
        "one byte long": lambda signature: signature + b"\0",
        "one byte long in front": lambda signature: b"\0" + signature,
        "twice": lambda signature: signature * 2,
        "first bit flipped": lambda signature: bytes([signature[0] ^ 0x80]) + signature[1:],
        "last bit flipped": lambda signature: signature[:-1] + bytes([signature[-1] ^ 1]),
        "backwards": lambda signature: signature[::-1],
    }
    for algorithm in (*ALGORITHMS, "HS256"):
        for name, damage in damages.items():
            yield f"{algorithm} signature {name}", with_signature(genuine(algorithm), damage)
        yield f"{algorithm} signature left out", genuine(algorithm).rpartition(".")[0]
        yield f"{algorithm} signature of another payload", _transplanted(genuine(algorithm), access(sub=f"{VICTIM}x"))
        if algorithm not in {"ES384", "ES512"}:  # their last character has no bits to spare
            yield f"{algorithm} signature with trailing bits", _with_trailing_bit(genuine(algorithm))


def _transplanted(token: str, claims: Mapping[str, Any]) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{segment(json.dumps(claims).encode())}.{signature}"


def _with_trailing_bit(token: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


def impossible_ecdsa() -> Table:
    for algorithm, bits in BITS.items():
        order, prime = ORDERS[algorithm], PRIMES[algorithm]
        for name, r, s in [
            ("r = s = 0", 0, 0),
            ("r = 0", 0, 1),
            ("s = 0", 1, 0),
            ("r = s = 1", 1, 1),
            ("r = s = n", order, order),
            ("r = n", order, 1),
            ("s = n", 1, order),
            ("r = s = n + 1", order + 1, order + 1),
            ("r = s = n - 1", order - 1, order - 1),
            ("r = s = p", prime, prime),
        ]:
            yield f"{algorithm} signature {name}", resigned(algorithm, raw(r, s, bits))
        yield f"{algorithm} signature in DER", with_signature(genuine(algorithm), _der)
        yield (
            f"{algorithm} signature r and s swapped",
            with_signature(genuine(algorithm), _swapped),
        )
        yield f"{algorithm} signature r = s = 0 in DER", resigned(algorithm, encode_dss_signature(0, 0))


def resigned(algorithm: str, signature: bytes) -> str:
    return with_signature(genuine(algorithm), lambda _: signature)


def _der(signature: bytes) -> bytes:
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def _swapped(signature: bytes) -> bytes:
    half = len(signature) // 2
    return signature[half:] + signature[:half]


def impossible_eddsa() -> Table:
    for times in (1, 2, 7):
        yield f"EdDSA signature with S + {times}L", with_signature(genuine("EdDSA"), partial(_plus_order, times=times))
    for number, point in enumerate(map(bytes.fromhex, SMALL_ORDER)):
        yield f"EdDSA signature with small-order R {number} and S = 0", resigned("EdDSA", point + bytes(32))
        yield (
            f"EdDSA signature with small-order R {number} and S = L",
            resigned("EdDSA", point + ED25519_ORDER.to_bytes(32, "little")),
        )
        yield (
            f"EdDSA signature with small-order R {number} and the genuine S",
            with_signature(genuine("EdDSA"), partial(_with_point, point=point)),
        )


def _with_point(signature: bytes, point: bytes) -> bytes:
    return point + signature[32:]


def _plus_order(signature: bytes, times: int) -> bytes:
    return signature[:32] + (int.from_bytes(signature[32:], "little") + times * ED25519_ORDER).to_bytes(32, "little")


def impossible_rsa() -> Table:
    for algorithm in ("RS256", "RS512", "PS256"):
        private = key(algorithm).private
        assert isinstance(private, rsa.RSAPrivateKey)
        modulus = private.public_key().public_numbers().n
        size = (modulus.bit_length() + 7) // 8
        for name, number in {"1": 1, "n": modulus, "n - 1": modulus - 1}.items():
            yield f"{algorithm} signature {name}", resigned(algorithm, number.to_bytes(size, "big"))
        yield (
            f"{algorithm} signature plus n",
            with_signature(genuine(algorithm), partial(_plus_modulus, modulus=modulus)),
        )


def _plus_modulus(signature: bytes, modulus: int) -> bytes:
    number = int.from_bytes(signature, "big") + modulus
    return number.to_bytes(max(len(signature), (number.bit_length() + 7) // 8), "big")


def written_differently() -> Table:
    """A genuine token in any other spelling: what we remember by the whole token must have one."""
    spellings: dict[str, Callable[[str], str]] = {
        "trailing =": lambda token: f"{token}=",
        "trailing ==": lambda token: f"{token}==",
        "padded parts": lambda token: ".".join(part + "=" * (-len(part) % 4) + "=" * 4 for part in token.split(".")),
        "a trailing tab": lambda token: f"{token}\t",
        "a trailing newline": lambda token: f"{token}\n",
        "a trailing NUL": lambda token: f"{token}\0",
        "a trailing carriage return": lambda token: f"{token}\r",
        "a leading tab": lambda token: f"\t{token}",
        "a byte order mark": lambda token: f"\ufeff{token}",
        "spaces around dots": lambda token: token.replace(".", " . "),
        "folded lines": lambda token: token[:40] + "\r\n " + token[40:],
        "a space in the signature": lambda token: f"{token[:-4]} {token[-4:]}",
        "a zero-width space": lambda token: f"{token[:-4]}\u200b{token[-4:]}",
        "a full-width dot": lambda token: token.replace(".", "\uff0e"),
        "percent-encoded dots": lambda token: token.replace(".", "%2E"),
        "a trailing dot": lambda token: f"{token}.",
        "a leading dot": lambda token: f".{token}",
        "double dots": lambda token: token.replace(".", ".."),
        "a fourth part": lambda token: f"{token}.{token.rpartition('.')[2]}",
        "an empty header": lambda token: f".{token.partition('.')[2]}",
        "an empty payload": lambda token: f"{token.split('.')[0]}..{token.split('.')[2]}",
        "quotes": lambda token: f'"{token}"',
        "a name": lambda token: f"token={token}",
        "a comma": lambda token: f"{token},",
        "two tokens": lambda token: f"{token} {token}",
        "encoded once more": lambda token: segment(token.encode()),
        "upper case": str.upper,
        "backwards": lambda token: token[::-1],
        "JSON serialization": lambda token: json.dumps(
            dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
        ),
        "five parts": lambda token: ".".join([token.split(".")[0], "", segment(bytes(12)), *token.split(".")[1:]]),
        "base64 instead of base64url": lambda token: f"{token[:-8]}+/{token[-6:]}",
    }
    for own in ("EdDSA", "HS256"):
        for name, spelling in spellings.items():
            yield f"{own} token with {name}", spelling(genuine(own))
        yield f"{own} token signed in base64", _in_base64(signers()[own])


def _in_base64(signer: Signer) -> str:
    """Sign the base64 text of the parts; the claim makes sure that it differs from base64url."""
    named = {"alg": signer.algorithm, "kid": "key-EdDSA", "x": "~~~???>>>"}
    parts = [base64.b64encode(json.dumps(part).encode()).decode() for part in (named, claims_of(signer, x="~~~???>>>"))]
    return ".".join([*parts, base64.b64encode(signer.sign(".".join(parts).encode())).decode()])


def not_tokens() -> Table:
    texts = {
        "nothing": "",
        "one letter": "x",
        "dots": "..",
        "null": "null",
        "undefined": "undefined",
        "[object Object]": "[object Object]",
        "session token": f"{secrets.token_urlsafe(24)}.{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "session token, encoded": f"{secrets.token_urlsafe(24)}.{secrets.token_hex(22)}%3D",
        "opaque token": secrets.token_urlsafe(32),
        "PASETO": f"v4.public.{segment(secrets.token_bytes(96))}",
        "letters beyond ASCII": "ä.ö.ü",
        "control characters": "\x01.\x02.\x03",
        "eight KiB of letters": "a" * 8192,
        "a megabyte of letters": "a" * 2**20,
        "a megabyte of dots": "." * 2**20,
        "JWE": ".".join(
            segment(part)
            for part in [b'{"alg":"dir","enc":"A256CBC-HS512"}', b"\0", bytes(16), secrets.token_bytes(64), bytes(32)]
        ),
        "JWE with an empty key": ".".join(
            [segment(b'{"alg":"dir","enc":"A256CBC-HS512"}'), "", segment(bytes(16)), segment(bytes(64)), "AAAA"]
        ),
    }
    for name, text in texts.items():
        yield f"{name} instead of a token", text


def odd_headers() -> Table:
    """Members that ask to trust something else; the signature is the attacker's or, where it must not help, genuine."""
    for algorithm in ("EdDSA", "ES256", "RS256"):
        embedded: dict[str, Callable[[SigningKey], Any]] = {
            "jwk": lambda own: own.jwk(),
            "jku": lambda _: f"{ORIGIN}.attacker.example/jwks",
            "x5u": lambda _: f"{ORIGIN}.attacker.example/x5u",
            "x5c": lambda own: [base64.b64encode(own.public_bytes(Encoding.DER)).decode()],
        }
        for name, value in embedded.items():
            for key_id in (f"key-{algorithm}", "attacker", ...):
                which = "without" if key_id is ... else f"with the id {key_id}"
                yield (
                    f"an attacker's {algorithm} key in {name} {which}",
                    stranger(algorithm).token(access(), **{"kid": key_id, name: value(stranger(algorithm))}),
                )
    members: dict[str, dict[str, Any]] = {
        "crit b64": {"crit": ["b64"], "b64": False},
        "b64 false": {"b64": False},
        "crit exp": {"crit": ["exp"], "exp": 9999999999},
        "crit empty": {"crit": []},
        "crit null": {"crit": None},
        "crit of something unknown": {"crit": ["http://example.org/unknown"], "http://example.org/unknown": True},
    }
    kinds = ["", "jwt ", "JWT\0", "JWE", "dpop+jwt", "id+jwt", "rt+jwt", "refresh", "logout+jwt", "secevent+jwt"]
    kinds += ["better-auth.session-cache+jwt", "email-verification", "JOSE", "JOSE+JSON", "kb+jwt", "jwk-set+json"]
    for kind in [*kinds, 1, True, ["JWT"], {"JWT": 1}]:
        members[f"typ {kind!r}"] = {"typ": kind}
    for name, member in members.items():
        for own, signer in signers().items():
            yield f"{name} in a genuine {own} header", signer.token(claims_of(signer), **member)


def hostile_key_ids() -> Table:
    ids: dict[str, Any] = {
        "missing": ...,
        "null": None,
        "empty": "",
        "a number": 1,
        "zero": 0,
        "true": True,
        "a list": ["key-EdDSA"],
        "an object": {"key-EdDSA": 1},
        "path traversal": "../../../../dev/null",
        "an address": "https://attacker.example/key",
        "SQL": "' UNION SELECT 'x' --",
        "a shell command": "$(sleep 9)|sleep 9",
        "very long": "k" * 4000,
        "with NUL": "key-EdDSA\0",
        "with a space": " key-EdDSA",
        "with a newline": "key-EdDSA\n",
        "in upper case": "KEY-EDDSA",
        "of another script": "k\u0435y-EdDSA",
        "a lone surrogate": "\ud800",
        "of the oct key": "oct",
        "unknown": "unknown",
    }
    for name, key_id in ids.items():
        yield f"key id {name}", key("EdDSA").token(access(), kid=key_id)
    for name, key_id in [("a number", 1), ("null", None), ("a list", ["x"]), ("an object", {})]:
        yield f"key id {name} in an HS256 header", BRIDGE.token(bridge(), kid=key_id)
    yield "two key ids", _signed_raw(stranger("EdDSA"), b'{"alg":"EdDSA","kid":"attacker","kid":"key-EdDSA"}', access())


def _signed_raw(signer: Signer, header: bytes, claims: Any) -> str:
    message = signed_part(header, claims)
    return f"{message}.{segment(signer.sign(message.encode()))}"


def hostile_headers() -> Table:
    heads = {
        "nothing": b"",
        "a list": b"[]",
        "a text": b'"EdDSA"',
        "a number": b"5",
        "null": b"null",
        "not JSON": b"{alg:EdDSA}",
        "cut off": b'{"alg":"EdDSA","kid":"key-EdDSA"',
        "with more behind it": b'{"alg":"EdDSA","kid":"key-EdDSA"}{}',
        "with a comment": b'{"alg":"EdDSA",/**/"kid":"key-EdDSA"}',
        "not UTF-8": b'{"alg":"EdDSA","kid":"key-EdDSA","x":"\xff"}',
        "in UTF-16": '{"alg":"EdDSA","kid":"key-EdDSA"}'.encode("utf-16"),
        "in UTF-32": '{"alg":"EdDSA","kid":"key-EdDSA"}'.encode("utf-32"),
        "with NaN": b'{"alg":"EdDSA","kid":"key-EdDSA","x":NaN}',
        "deep lists": b"[" * 5000,
        "deep lists, closed": b'{"alg":"EdDSA","kid":"key-EdDSA","x":' + b"[" * 2500 + b"]" * 2500 + b"}",
        "deep objects": b'{"a":' * 1200,
        "a huge number": b'{"alg":"EdDSA","kid":"key-EdDSA","x":' + b"9" * 5000 + b"}",
        "alg twice, none last": b'{"alg":"EdDSA","alg":"none","kid":"key-EdDSA"}',
    }
    for name, head in heads.items():
        yield f"header {name}", _signed_raw(key("EdDSA"), head, access())
    twice = b'{"alg":"EdDSA","alg":"none","kid":"key-EdDSA"}'
    yield "header alg twice, without a signature", signed_part(twice, access()) + "."
    yield (
        "header alg twice, HMAC with the public key",
        _signed_raw(
            SharedSecret(key("EdDSA").public_bytes(Encoding.PEM)),
            b'{"alg":"EdDSA","alg":"HS256","kid":"key-EdDSA"}',
            access(),
        ),
    )


def hostile_payloads() -> Table:
    exp = 9999999999
    payloads: dict[str, bytes] = {
        "nothing": b"",
        "a list": b"[]",
        "a text": b'"sub"',
        "a number": b"5",
        "null": b"null",
        "true": b"true",
        "not JSON": b"{sub:1}",
        "cut off": _json(exp)[:-1],
        "with more behind it": _json(exp) + b"{}",
        "not UTF-8": _json(exp)[:-1] + b',"x":"\xff"}',
        "in UTF-16": _json(exp).decode().encode("utf-16"),
        "in UTF-32": _json(exp).decode().encode("utf-32"),
        "with NaN": _json(exp)[:-1] + b',"x":NaN}',
        "with Infinity": _json(exp)[:-1] + b',"x":Infinity}',
        "deep lists": b"[" * 5000,
        "deep lists, closed": _json(exp)[:-1] + b',"x":' + b"[" * 2500 + b"]" * 2500 + b"}",
        "deep objects": b'{"a":' * 1200,
        "compressed": zlib.compress(_json(exp)),
        "exp a huge number": _json(b"9" * 5000),
        "exp NaN": _json(b"NaN"),
        "exp Infinity": _json(b"Infinity"),
        "exp beyond doubles": _json(b"1e999"),
        "iat NaN": _json(exp, b',"iat":NaN'),
        "iat beyond doubles": _json(exp, b',"iat":1e999'),
        "nbf Infinity": _json(exp, b',"nbf":Infinity'),
        "nbf a huge number": _json(exp, b',"nbf":' + b"9" * 5000),
        "exp twice, expired last": _json(exp, b',"exp":1'),
        "sub twice, invalid last": _json(exp, b',"sub":""'),
    }
    for name, payload in payloads.items():
        for own, signer in signers().items():
            yield f"payload {name} signed with {own}", signer.token(payload)
    for own, signer in signers().items():
        yield f"a nested {own} token", signer.token(genuine(own).encode(), cty="JWT")
        yield (
            f"a compressed {own} token",
            signer.token(zlib.compress(json.dumps(claims_of(signer)).encode()), zip="DEF"),
        )
        yield f"a {own} token over 8 KiB", signer.token(claims_of(signer, x="x" * 8192))


def _json(exp: int | bytes, more: bytes = b"") -> bytes:
    """Claims of the right issuer with anything as `exp`."""
    text = exp if isinstance(exp, bytes) else str(exp).encode()
    named = f'{{"sub":"{VICTIM}","iss":"{ORIGIN}","aud":"{ORIGIN}","exp":'.encode()
    return named + text + more + b"}"


def _signed_by_each(cases: Mapping[str, Mapping[str, Any]]) -> Table:
    """The claims under genuine signatures of both families."""
    for name, changes in cases.items():
        for own, signer in signers().items():
            yield f"{name} signed with {own}", signer.token(claims_of(signer, **changes))


def wrong_types() -> Table:
    strange: list[Any] = ["soon", "1", "9999999999", "", True, [9999999999], {"x": 1}, None]
    for name in ("exp", "iat", "nbf"):
        yield from _signed_by_each({f"{name} {value!r}": {name: value} for value in strange})
    strange = [None, 1, 1.5, True, [], [VICTIM], {"id": VICTIM}]
    yield from _signed_by_each(
        {f"sub {type(value).__name__} {number}": {"sub": value} for number, value in enumerate(strange)}
    )
    strange = [1, True, ["x"], {"x": 1}]
    yield from _signed_by_each({f"jti {value!r}": {"jti": value} for value in strange})
    yield from _signed_by_each(
        {"no sub": {"sub": ...}, "no exp": {"exp": ...}, "no claims": dict.fromkeys(access(), ...)}
    )
    for name in ("iss", "aud"):
        yield f"no {name}", key("EdDSA").token(access(**{name: ...}))
        yield f"{name} null", key("EdDSA").token(access(**{name: None}))


def wrong_subjects() -> Table:
    subjects = {
        "empty": "",
        "too long": "a" * 129,
        "with NUL": f"{VICTIM}\0",
        "NUL": "\0",
        "with a newline": f"{VICTIM}\n",
        "with a leading newline": f"\n{VICTIM}",
        "with a space": f"{VICTIM} ",
        "with a tab": f"{VICTIM}\t",
        "with a delete character": f"{VICTIM}\x7f",
        "with a bell": f"\x07{VICTIM}",
        "with a line separator": f"{VICTIM}\u2028",
        "with a zero-width space": f"{VICTIM}\u200b",
        "written from right to left": f"\u202e{VICTIM}",
        "with a Cyrillic letter": f"{VICTIM}\u0430",
        "with a full-width letter": f"{VICTIM}\uff41",
        "with an Arabic digit": f"{VICTIM}\u0661",
        "with a combining mark": f"{VICTIM}\u0301",
        "a lone surrogate": "\ud800",
        "an emoji": "\U0001f600",
        "path traversal": "../admin",
        "SQL": "' OR '1'='1",
        "percent-encoded": "%61dmin",
        "an e-mail address": "ada@example.org",
        "two ids": f"{VICTIM},admin",
    }
    yield from _signed_by_each({f"sub {name}": {"sub": value} for name, value in subjects.items()})


def wrong_issuers_and_audiences() -> Table:
    others: dict[str, Any] = {
        "another": "https://attacker.example",
        "with a slash": f"{ORIGIN}/",
        "with a path": f"{ORIGIN}/api/auth",
        "with a port": f"{ORIGIN}:443",
        "in upper case": ORIGIN.upper(),
        "without TLS": ORIGIN.replace("https", "http"),
        "with a suffix": f"{ORIGIN}.attacker.example",
        "cut off": ORIGIN[:-1],
        "with NUL": f"{ORIGIN}\0",
        "empty": "",
        "a number": 1,
        "a list": [ORIGIN],
        "an object": {ORIGIN: ORIGIN},
        "true": True,
    }
    for name, value in others.items():
        yield from _signed_by_each({f"iss {name}": {"iss": value, "aud": ORIGIN}})
        if not isinstance(value, list):
            yield from _signed_by_each({f"aud {name}": {"aud": value, "iss": ORIGIN}})
        yield from _signed_by_each({f"aud list of {name}": {"aud": [value], "iss": ORIGIN}})
    yield from _signed_by_each({"aud an empty list": {"aud": [], "iss": ORIGIN}})
    for name, alone in {"aud": "https://attacker.example", "iss": "https://attacker.example", "aud list": []}.items():
        yield f"{name} alone", BRIDGE.token(bridge(**{name.partition(" ")[0]: alone}))


def wrong_times() -> Table:
    now = time.time()
    yield from _signed_by_each(
        {
            "expired by one second": {"exp": int(now) - 1},
            "expired by a fraction": {"exp": now - 0.001},
            "expires now": {"exp": int(now)},
            "expired long ago": {"exp": 1},
            "exp zero": {"exp": 0},
            "exp negative": {"exp": -now},
            "nbf beyond the leeway": {"nbf": now + 15},
            "iat beyond the leeway": {"iat": now + 15},
            "nbf in milliseconds": {"nbf": now * 1000},
            "iat in milliseconds": {"iat": now * 1000},
        }
    )


def other_purposes() -> Table:
    """Genuine signatures under tokens that were made for something else.

    Second identities and marks count in HS256 tokens only: in one of the jwt() plugin they are columns of the user.
    """
    email = "ada@example.org"
    alone = {"sub": ...}
    cases: dict[str, dict[str, Any]] = {
        "e-mail verification": {**alone, "email": email},
        "e-mail verification with a user": {**alone, "email": email, "userId": VICTIM},
        "change of e-mail": {**alone, "email": email, "updateTo": "eve@example.org"},
        "change of e-mail, confirmed": {
            **alone,
            "email": email,
            "updateTo": "eve@example.org",
            "requestType": "change-email-verification",
        },
        "only userId": {**alone, "userId": VICTIM},
        "only id": {**alone, "id": VICTIM},
        "only user_id": {**alone, "user_id": VICTIM},
        "only user.id": {**alone, "user": {"id": VICTIM}},
        "only uid": {**alone, "uid": VICTIM},
        "a session without a user": {**alone, "session": {"userId": VICTIM}},
    }
    yield from _signed_by_each(cases)
    disagreeing: dict[str, dict[str, Any]] = {
        "another userId": {"userId": "somebody-else"},
        "another id": {"id": "somebody-else"},
        "another user_id": {"user_id": "somebody-else"},
        "another user.id": {"user": {"id": "somebody-else"}},
        "another session.userId": {"session": {"userId": "somebody-else"}},
        "userId a number": {"userId": 1},
        "id a list": {"id": [VICTIM]},
        "a session and a user, with sub": session_claims(sub=VICTIM, iat=..., exp=...),
    }
    for name, changes in disagreeing.items():
        yield name, BRIDGE.token(bridge(**changes))
    marks: dict[str, tuple[str, ...]] = {
        "updateTo": ("eve@example.org",),
        "requestType": ("change-email-verification", "change-email-confirmation"),
        "purpose": ("password-reset", ""),
        "token_use": ("id", "refresh"),
        "type": ("email-verification", "refresh", "session"),
    }
    for name, values in marks.items():
        for value in values:
            yield f"{name} {value!r}", BRIDGE.token(bridge(**{name: value}))
    yield (
        "a session JWT of the jwt() plugin",
        key("EdDSA").token(
            session_claims(sub=VICTIM, iss=ORIGIN, aud="better-auth:session-cache", sid="x"),
            typ="better-auth.session-cache+jwt",
        ),
    )
    yield "a session JWT signed with EdDSA", key("EdDSA").token(session_claims(iss=ORIGIN, aud=ORIGIN))


def tokens_of_oauth() -> Table:
    """What an OAuth provider signs with the issuer's keys, too, and what it binds to a client's key."""
    id_token = {"acr": "0", "auth_time": int(time.time()), "at_hash": "aGFzaA", "nonce": "n"}
    logout = {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid": "s1"}
    cases: dict[str, dict[str, Any]] = {
        "an ID token": id_token,
        "an ID token with an authorized party": {**id_token, "azp": "client", "scope": "openid tasks:read"},
        "a logout token without its type": logout,
        "a token of a client for itself": {"client_id": VICTIM, "scope": "tasks:read"},
    }
    for name, changes in cases.items():
        for own, signer in signers().items():
            yield f"{name}, {own}", signer.token(claims_of(signer, **changes))
    for own, signer in signers().items():
        for confirmation in ({"jkt": "x"}, {"x5t#S256": "x"}, {}, "", False):
            for head in ({}, {"typ": "at+jwt"}):
                bound = claims_of(signer, scope="tasks:read", client_id="client", cnf=confirmation)
                yield f"a token bound by {confirmation!r}, {head}, {own}", signer.token(bound, **head)


def session_claims(
    *, session: Mapping[str, Any] | None = None, user: Mapping[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """Claims of Better Auth's cookie cache with `strategy: "jwt"`; what is `...` is left out."""
    now = int(time.time())
    members = {
        "session": _present(
            {
                "id": "s1",
                "userId": VICTIM,
                "token": "t" * 32,
                "expiresAt": _iso(now + 86400),
                "createdAt": _iso(now),
                "updatedAt": _iso(now),
                "ipAddress": "",
                "userAgent": "",
                **(session or {}),
            }
        ),
        "user": _present({"id": VICTIM, "email": "ada@example.org", "name": "Ada", **(user or {})}),
        "updatedAt": now * 1000,
        "version": "1",
        "iat": now,
        "exp": now + 300,
        **changes,
    }
    return _present(members)


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ...}


def _iso(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment))


def damaged_sessions() -> Table:
    now = int(time.time())
    damages: dict[str, dict[str, Any]] = {
        "with an empty session": {"session": dict.fromkeys(("id", "userId", "token", "expiresAt"), ...)},
        "of two users": {"session": {"userId": "somebody-else"}},
        "with another user": {"user": {"id": "somebody-else"}},
        "without the session's user": {"session": {"userId": ...}},
        "without the user's id": {"user": {"id": ...}},
        "of a user without an id": {"user": {"id": ...}, "session": {"userId": ...}},
        "of the user null": {"user": {"id": None}, "session": {"userId": None}},
        "of the user 1": {"user": {"id": 1}, "session": {"userId": 1}},
        "of a user with NUL": {"user": {"id": "a\0"}, "session": {"userId": "a\0"}},
        "of an empty user": {"user": {"id": ""}, "session": {"userId": ""}},
        "of a user in a list": {"user": {"id": [VICTIM]}, "session": {"userId": [VICTIM]}},
        "of an expired session": {"session": {"expiresAt": _iso(now - 1)}},
        "of a session without an expiry": {"session": {"expiresAt": ...}},
        "of a session with the expiry null": {"session": {"expiresAt": None}},
        "of a session with a strange expiry": {"session": {"expiresAt": "tomorrow"}},
        "of a session with an endless expiry": {"session": {"expiresAt": True}},
        "without exp": {"exp": ...},
        "expired": {"exp": now - 1},
        "issued in the future": {"iat": now + 3600},
        "with sub of somebody else": {"sub": "somebody-else"},
        "with updateTo": {"updateTo": "eve@example.org"},
        "with requestType": {"requestType": "change-email-verification"},
        "with something else": {"more": 1},
        "with an audience": {"aud": "better-auth:session-cache"},
        "with another issuer": {"iss": "https://attacker.example"},
    }
    for name, changes in damages.items():
        yield f"session JWT {name}", BRIDGE.token(session_claims(**changes))
    strange: dict[str, Any] = {"a list": [], "null": None, "text": VICTIM, "a number": 1, "missing": ...}
    for name, value in strange.items():
        for member in ("session", "user"):
            yield f"session JWT whose {member} is {name}", BRIDGE.token(_present({**session_claims(), member: value}))
    yield "session JWT with another secret", SharedSecret(b"x" * 32).token(session_claims())
    yield "session JWT without a signature", signed_part({"alg": "none"}, session_claims()) + "."
    yield "session JWT as HS512", SharedSecret(SECRET.encode(), "HS512").token(session_claims())
    yield (
        "session JWT with the type of the plugin's",
        BRIDGE.token(session_claims(), typ="better-auth.session-cache+jwt"),
    )


GROUPS: Final = (
    hmac_with_public_keys,
    confused_keys,
    shared_secrets,
    unsigned,
    damaged_signatures,
    impossible_ecdsa,
    impossible_eddsa,
    impossible_rsa,
    written_differently,
    not_tokens,
    odd_headers,
    hostile_key_ids,
    hostile_headers,
    hostile_payloads,
    wrong_types,
    wrong_subjects,
    wrong_issuers_and_audiences,
    wrong_times,
    other_purposes,
    tokens_of_oauth,
    damaged_sessions,
)
