import asyncio
import gzip
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from app.auth import key_set
from app.auth.keys import fetch_table
from app.auth.tokens import TokenVerifier
from app.db.database import Database
from app.settings import Settings
from tests.auth.attacks import access
from tests.auth.conftest import accepts, cannot_tell, fresh, new_key
from tests.auth.issuer import ALGORITHMS, Issuer, SigningKey, issuing, segment

MAXIMUM_BYTES = 64 * 1024
MAXIMUM_KEYS = 20


async def test_an_answer_that_never_ends_is_cut_off(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_set, "TIMEOUT_SECONDS", 0.2)
    issuer.endless = True
    async with asyncio.timeout(30):
        assert await cannot_tell(verifier, fresh(key))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, status: int
) -> None:
    async with issuing(key) as elsewhere:
        issuer.status, issuer.headers = status, {"Location": f"{elsewhere.url}/api/auth/jwks"}
        assert await cannot_tell(verifier, fresh(key))
        assert (issuer.fetches, elsewhere.fetches) == (1, 0)


def padded(issuer: Issuer, length: int) -> bytes:
    return json.dumps({"keys": issuer.keys}).encode().ljust(length)


BAD_ANSWERS: dict[str, Any] = {
    "status 204": {"status": 204, "body": b""},
    "status 304": {"status": 304, "body": b""},
    "status 201": {"status": 201},
    "status 401": {"status": 401},
    "status 404": {"status": 404},
    "status 429": {"status": 429},
    "status 500": {"status": 500},
    "status 503": {"status": 503},
    "nothing": {"body": b""},
    "HTML": {"body": b"<!doctype html><title>Sign in</title>"},
    "cut off": {"body": b'{"keys": ['},
    "not UTF-8": {"body": b'{"keys": [], "x": "\xff"}'},
    "a list": {"body": b"[]"},
    "null": {"body": b"null"},
    "a text": {"body": b'"keys"'},
    "a number": {"body": b"5"},
    "no keys": {"body": b"{}"},
    "keys null": {"body": b'{"keys": null}'},
    "keys an object": {"body": b'{"keys": {}}'},
    "keys a text": {"body": b'{"keys": "abc"}'},
    "deep lists": {"body": b"[" * 50_000},
    "deep keys": {"body": b'{"keys": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"},
    "deep objects": {"body": b'{"keys":' * 8000},
    "a wrong length": {"headers": {"Content-Length": "100000"}},
    "no gzip": {"headers": {"Content-Encoding": "gzip"}},
    "more than 64 KiB": {"body": lambda issuer: padded(issuer, MAXIMUM_BYTES + 1)},
    "more than 64 KiB once unpacked": {
        "body": lambda issuer: gzip.compress(padded(issuer, 2 * MAXIMUM_BYTES)),
        "headers": {"Content-Encoding": "gzip"},
    },
    "more than 20 keys": {"keys": lambda issuer: [*issuer.keys, *(new_key().jwk() for _ in range(MAXIMUM_KEYS))]},
}


@pytest.mark.parametrize("answer", BAD_ANSWERS)
async def test_a_bad_answer_is_no_answer(verifier: TokenVerifier, issuer: Issuer, key: SigningKey, answer: str) -> None:
    for name, value in BAD_ANSWERS[answer].items():
        setattr(issuer, name, value(issuer) if callable(value) else value)
    assert await cannot_tell(verifier, fresh(key))


GOOD_ANSWERS: dict[str, Any] = {
    "exactly 64 KiB": {"body": lambda issuer: padded(issuer, MAXIMUM_BYTES)},
    "exactly 20 keys": {"keys": lambda issuer: [*issuer.keys, *(new_key().jwk() for _ in range(MAXIMUM_KEYS - 1))]},
    "packed": {
        "body": lambda issuer: gzip.compress(padded(issuer, 1000)),
        "headers": {"Content-Encoding": "gzip"},
    },
    "another media type": {"headers": {"Content-Type": "text/plain"}},
    "cookies": {"headers": {"Set-Cookie": "a=b"}},
    "more members": {"body": lambda issuer: json.dumps({"keys": issuer.keys, "x": [1]}).encode()},
}


@pytest.mark.parametrize("answer", GOOD_ANSWERS)
async def test_an_unusual_answer_is_read(issuer: Issuer, verifier: TokenVerifier, key: SigningKey, answer: str) -> None:
    for name, value in GOOD_ANSWERS[answer].items():
        setattr(issuer, name, value(issuer) if callable(value) else value)
    assert await accepts(verifier, fresh(key))


def _foreign(kind: str) -> dict[str, Any]:
    """Keys of kinds that no algorithm here uses."""
    if kind == "secp256k1":
        public = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256K1()).public_key(), as_dict=True)
    elif kind == "Ed448":
        public = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True)
    else:
        raw = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
        public = {"kty": "OKP", "crv": "X25519", "x": segment(raw)}
    return public


UNUSABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "for encryption": ("EdDSA", {"use": "enc"}),
    "for an unknown use": ("EdDSA", {"use": "wrapping"}),
    "with a list as use": ("EdDSA", {"use": ["sig"]}),
    "for signing only": ("EdDSA", {"key_ops": ["sign"]}),
    "for nothing": ("EdDSA", {"key_ops": []}),
    "with a number as key_ops": ("EdDSA", {"key_ops": 5}),
    "with key_ops null": ("EdDSA", {"key_ops": None}),
    "with a nested list as key_ops": ("EdDSA", {"key_ops": [["verify"]]}),
    "P-256 labelled ES384": ("ES256", {"alg": "ES384"}),
    "P-256 labelled RS256": ("ES256", {"alg": "RS256"}),
    "P-256 labelled HS256": ("ES256", {"alg": "HS256"}),
    "P-256 labelled none": ("ES256", {"alg": "none"}),
    "P-384 labelled ES256": ("ES384", {"alg": "ES256"}),
    "P-256 said to be P-384": ("ES256", {"crv": "P-384", "alg": "ES384"}),
    "Ed25519 labelled ES256": ("EdDSA", {"alg": "ES256"}),
    "RSA labelled RSA-OAEP": ("RS256", {"alg": "RSA-OAEP"}),
    "RSA labelled EdDSA": ("RS256", {"alg": "EdDSA"}),
    "with a list as alg": ("EdDSA", {"alg": ["EdDSA"]}),
    "with a number as alg": ("EdDSA", {"alg": 1}),
    "with an object as alg": ("EdDSA", {"alg": {"EdDSA": 1}}),
    "with an empty alg": ("EdDSA", {"alg": ""}),
    "without kty": ("EdDSA", {"kty": ...}),
    "with a list as kty": ("EdDSA", {"kty": ["OKP"]}),
    "with another kty": ("EdDSA", {"kty": "EC"}),
    "a secret": ("EdDSA", {"kty": "oct", "k": segment(bytes(32))}),
    "without crv": ("EdDSA", {"crv": ...}),
    "with a list as crv": ("ES256", {"crv": ["P-256"]}),
    "with an unknown crv": ("ES256", {"crv": "P-999"}),
    "without x": ("EdDSA", {"x": ...}),
    "with a number as x": ("EdDSA", {"x": 1}),
    "with a short x": ("EdDSA", {"x": "AAAA"}),
    "with an x that is no base64url": ("EdDSA", {"x": "\u00e4!"}),
    "with an x of another script": ("ES256", {"x": "\u00e4" * 43}),
    "without y": ("ES256", {"y": ...}),
    "off its curve": ("ES256", {"y": segment(bytes(31) + b"\1")}),
    "at infinity": ("ES256", {"x": segment(bytes(32)), "y": segment(bytes(32))}),
    "without n": ("RS256", {"n": ...}),
    "with n of zero": ("RS256", {"n": "AA"}),
    "with a list as n": ("RS256", {"n": []}),
    "with e of one": ("RS256", {"e": "AQ"}),
    "with an even e": ("RS256", {"e": "Ag"}),
    "without e": ("RS256", {"e": ...}),
    "without kid": ("EdDSA", {"kid": ...}),
    "with kid null": ("EdDSA", {"kid": None}),
    "with a number as kid": ("EdDSA", {"kid": 1}),
    "with a list as kid": ("EdDSA", {"kid": []}),
    "with an empty kid": ("EdDSA", {"kid": ""}),
    "with a long kid": ("EdDSA", {"kid": "k" * 1000}),
    **{f"of the kind {kind}": ("EdDSA", _foreign(kind)) for kind in ("secp256k1", "Ed448", "X25519")},
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_an_unusable_key_is_left_out_and_the_others_keep_working(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, case: str
) -> None:
    algorithm, changes = UNUSABLE[case]
    unusable = new_key(algorithm)
    issuer.keys = [unusable.jwk(**changes), key.jwk()]
    assert await accepts(verifier, fresh(key))
    named = changes.get("alg", algorithm)
    for header in ({}, {"alg": named}, {"kid": changes.get("kid", unusable.key_id)}):
        assert not await accepts(verifier, unusable.token(access(), **header))
    assert await accepts(verifier, fresh(key))


@pytest.mark.parametrize("bits", [1024, 2040])
async def test_a_short_rsa_key_is_left_out(verifier: TokenVerifier, issuer: Issuer, key: SigningKey, bits: int) -> None:
    short = SigningKey.make("RS256", "short", bits=bits)
    issuer.publish(short, key)
    assert not await accepts(verifier, fresh(short))
    assert await accepts(verifier, fresh(key))


async def test_two_keys_with_one_id_are_both_left_out(verifier: TokenVerifier, issuer: Issuer, key: SigningKey) -> None:
    twins = [SigningKey.make(algorithm, "twin") for algorithm in ("EdDSA", "ES256", "EdDSA")]
    issuer.publish(twins[0], key, *twins[1:])
    assert [await accepts(verifier, fresh(twin)) for twin in twins] == [False] * 3
    assert await accepts(verifier, fresh(key))


@pytest.mark.parametrize("entry", [None, 5, "key", [], {}, [[[[]]]], True], ids=str)
async def test_entries_that_are_no_keys_are_left_out(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, entry: Any
) -> None:
    issuer.keys = [entry, key.jwk(), entry]
    assert await accepts(verifier, fresh(key))


async def test_published_private_members_are_not_looked_at(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, capsys: pytest.CaptureFixture[str]
) -> None:
    private = segment(secrets.token_bytes(32))
    issuer.keys = [key.jwk(d=private, p=private)]
    assert await accepts(verifier, fresh(key))
    assert private not in "".join(capsys.readouterr())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("changes", [{}, {"alg": ...}, {"use": "sig"}, {"key_ops": ["verify"]}], ids=str)
async def test_every_algorithm_is_accepted_with_and_without_what_better_auth_leaves_out(
    verifier: TokenVerifier, issuer: Issuer, algorithm: str, changes: dict[str, Any]
) -> None:
    own = new_key(algorithm)
    issuer.keys = [own.jwk(**changes)]
    assert await accepts(verifier, fresh(own))


@pytest.mark.parametrize(
    ("own", "other", "accepted"),
    [
        ("RS256", "RS512", True),
        ("RS256", "PS256", True),
        ("RS256", "RS384", False),
        ("RS256", "PS512", False),
        ("ES256", "ES384", False),
        ("ES384", "ES256", False),
        ("EdDSA", "Ed25519", True),
    ],
)
async def test_a_key_without_alg_verifies_what_its_own_type_and_curve_allow(
    verifier: TokenVerifier, issuer: Issuer, own: str, other: str, accepted: bool
) -> None:
    key = new_key(own)
    issuer.keys = [key.jwk(alg=...)]
    assert await accepts(verifier, fresh(key.using(other))) is accepted
    assert await accepts(verifier, fresh(key))


async def test_a_key_id_of_any_form_is_found(verifier: TokenVerifier, issuer: Issuer) -> None:
    keys = [
        SigningKey.make("EdDSA", key_id) for key_id in ("1", "0", " ", "a/b", "\u00e4", "k" * 200, "../x", "' OR 1")
    ]
    issuer.publish(*keys)
    assert [await accepts(verifier, fresh(key)) for key in keys] == [True] * len(keys)


PUBLIC = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
CAMEL_CASE = 'id text, "publicKey" text, "privateKey" text, alg text, "expiresAt" timestamptz'
SNAKE_CASE = "id bigint, public_key text, private_key text, alg text, expires_at timestamp"
"""Columns of Better Auth's table as different adapters make them."""


@pytest.fixture(params=[CAMEL_CASE, SNAKE_CASE], ids=["camelCase", "snake_case"])
async def table(ours: Settings, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Connection]:
    """The owner of the table `jwks`, which starts empty."""
    connection = await asyncpg.connect(ours.database_url)
    await connection.execute(f"DROP TABLE IF EXISTS jwks; CREATE TABLE jwks ({request.param}, PRIMARY KEY (id))")
    yield connection
    await connection.close()


@pytest.fixture
async def database(ours: Settings) -> AsyncIterator[Database]:
    database = Database(ours)
    yield database
    await database.close()


async def test_a_row_is_a_key_under_its_own_id(table: asyncpg.Connection, database: Database) -> None:
    public = json.dumps({**PUBLIC, "kid": "not this"})
    await table.execute("INSERT INTO jwks VALUES (1, $1, 'private', 'EdDSA'), (2, $1, 'private', NULL)", public)
    keys = sorted(await fetch_table(database), key=lambda key: str(key["kid"]))
    assert keys == [{**PUBLIC, "kid": "1", "alg": "EdDSA"}, {**PUBLIC, "kid": "2"}]


@pytest.mark.parametrize("text", [None, "", "not JSON", "[]", "5"])
async def test_a_row_without_a_public_key_is_left_out(
    table: asyncpg.Connection, database: Database, text: str | None
) -> None:
    await table.execute("INSERT INTO jwks VALUES (1, $1), (2, $2)", text, json.dumps(PUBLIC))
    assert [key["kid"] for key in await fetch_table(database)] == ["2"]


@pytest.mark.usefixtures("table")
async def test_an_empty_table_has_no_keys(database: Database) -> None:
    assert await fetch_table(database) == []


@pytest.mark.parametrize(
    ("days", "shown"), [(None, True), (1, True), (-29, True), (-31, False)], ids=["never", "ahead", "in grace", "gone"]
)
async def test_a_key_is_shown_for_thirty_days_after_it_expired(
    table: asyncpg.Connection, database: Database, days: int | None, shown: bool
) -> None:
    row = "INSERT INTO jwks VALUES (1, $1, 'private', 'EdDSA', now() + $2 * interval '1 day')"
    await table.execute(row, json.dumps(PUBLIC), days)
    assert (len(await fetch_table(database)) == 1) is shown
