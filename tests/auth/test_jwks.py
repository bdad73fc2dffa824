import asyncio
import gzip
import json
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from app.auth import jwks
from app.auth.refusal import Refused
from app.auth.tokens import TokenVerifier
from app.errors import Problem
from app.settings import Settings
from tests.auth.attacks import BRIDGE, ORIGIN, SECRET, VICTIM, access, bridge
from tests.auth.issuer import ALGORITHMS, Issuer, SigningKey, issuing, segment
from tests.conftest import running

TASKS = "/api/me/tasks"
UNKNOWN_KEY_IDS = int(os.environ.get("UNKNOWN_KEY_IDS", "2000"))
MAXIMUM_BYTES = 64 * 1024
MAXIMUM_KEYS = 20


def new_key(algorithm: str = "EdDSA") -> SigningKey:
    return SigningKey.make(algorithm, secrets.token_hex(8))


def fresh(key: SigningKey) -> str:
    """Sign a token that nobody has seen before."""
    return key.token(access(jti=secrets.token_hex(8)))


@pytest.fixture
def key() -> SigningKey:
    return new_key()


@pytest.fixture
async def issuer(key: SigningKey) -> AsyncIterator[Issuer]:
    async with issuing(key) as issuer:
        yield issuer


def settings_for(issuer: Issuer) -> Settings:
    return Settings(
        database_url="postgresql://localhost/none",
        better_auth_secret=SECRET,
        better_auth_url=ORIGIN,
        jwks_url=f"{issuer.url}/api/auth/jwks",
    )


@pytest.fixture
async def verifier(issuer: Issuer) -> AsyncIterator[TokenVerifier]:
    verifier = TokenVerifier(settings_for(issuer))
    yield verifier
    await verifier.close()


class Clock:
    """The key set's time, which stands still until it is told; the event loop keeps its own."""

    def __init__(self) -> None:
        self._now = 1000.0

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jwks, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


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


async def test_nothing_is_fetched_until_a_token_needs_a_key(settings: Settings, issuer: Issuer) -> None:
    configured = replace(
        settings, better_auth_secret=SECRET, better_auth_url=ORIGIN, jwks_url=f"{issuer.url}/api/auth/jwks"
    )
    async with running(configured) as app:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            for path in ("/", "/health", "/ready", "/openapi.json", TASKS):
                await client.get(path)
            own = {"Authorization": f"Bearer {BRIDGE.token(bridge())}"}
            assert (await client.get(TASKS, headers=own)).status_code == 200
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    "header",
    [
        {"kid": ...},
        {"kid": ""},
        {"kid": 1},
        {"kid": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256K"},
        {"crit": ["b64"]},
        {"typ": "JWE"},
    ],
    ids=str,
)
async def test_what_needs_no_key_to_be_refused_is_refused_without_asking(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, header: dict[str, Any]
) -> None:
    assert not await accepts(verifier, key.token(access(), **header))
    assert issuer.fetches == 0


async def test_many_at_once_share_the_first_fetch(verifier: TokenVerifier, issuer: Issuer, key: SigningKey) -> None:
    assert all(await asyncio.gather(*(accepts(verifier, fresh(key)) for _ in range(200))))
    assert issuer.asked == ["/api/auth/jwks"]


async def test_who_gives_up_waiting_takes_the_fetch_from_nobody_else(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey
) -> None:
    issuer.gate.clear()
    impatient = asyncio.create_task(accepts(verifier, fresh(key)))
    patient = asyncio.create_task(accepts(verifier, fresh(key)))
    await issuer.was_asked.wait()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    issuer.gate.set()
    assert await patient
    assert issuer.fetches == 1


async def test_keys_are_fetched_again_after_five_minutes_and_not_before(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    for ahead, fetches in [(0, 1), (299, 1), (1, 2), (299, 2), (1, 3)]:
        clock.advance(ahead)
        assert await accepts(verifier, fresh(key))
        assert issuer.fetches == fetches


async def test_unknown_key_ids_cost_one_fetch_per_cooldown_however_many_there_are(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    for fetches in (2, 3):
        for _ in range(UNKNOWN_KEY_IDS // 100):
            unknown = [key.token(access(), kid=secrets.token_hex(8)) for _ in range(100)]
            answers = await asyncio.gather(*(accepts(verifier, token) for token in [*unknown, fresh(key)]))
            assert answers == [False] * 100 + [True]
        assert issuer.fetches == fetches
        clock.advance(jwks.COOLDOWN_SECONDS)


async def test_unknown_key_ids_do_not_multiply_fetches_while_the_issuer_is_down(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    issuer.status = 500
    for fetches in (1, 2):
        for _ in range(3):
            assert all(await asyncio.gather(*(cannot_tell(verifier, fresh(new_key())) for _ in range(50))))
            assert await cannot_tell(verifier, fresh(key))
        assert issuer.fetches == fetches
        clock.advance(jwks.COOLDOWN_SECONDS)


async def test_a_user_with_a_known_key_does_not_wait_for_the_search_for_an_unknown_one(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey
) -> None:
    assert await accepts(verifier, fresh(key))
    issuer.was_asked.clear()
    issuer.gate.clear()
    searching = asyncio.create_task(accepts(verifier, fresh(new_key())))
    await issuer.was_asked.wait()
    assert await accepts(verifier, fresh(key))
    assert not searching.done()
    issuer.gate.set()
    assert not await searching


async def test_a_new_key_is_accepted_at_once(verifier: TokenVerifier, issuer: Issuer, key: SigningKey) -> None:
    assert await accepts(verifier, fresh(key))
    new = new_key()
    issuer.publish(key, new)
    assert all(await asyncio.gather(*(accepts(verifier, fresh(new)) for _ in range(20))))
    assert await accepts(verifier, fresh(key))
    assert issuer.fetches == 2


async def test_a_key_that_appears_right_after_a_search_is_accepted_after_the_cooldown(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    assert not await accepts(verifier, fresh(new_key()))
    new = new_key()
    issuer.publish(key, new)
    clock.advance(jwks.COOLDOWN_SECONDS)
    assert await accepts(verifier, fresh(new))


async def test_a_removed_key_is_gone_with_the_next_fetch_and_takes_remembered_tokens_along(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    staying = new_key()
    issuer.publish(key, staying)
    remembered, kept = fresh(key), fresh(staying)
    caller = await verifier.verify(remembered)
    keeps = await verifier.verify(kept)
    assert await verifier.verify(remembered) is caller
    issuer.publish(staying)
    clock.advance(jwks.TTL_SECONDS)
    assert await accepts(verifier, fresh(staying))
    assert not await accepts(verifier, remembered)
    assert not await accepts(verifier, fresh(key))
    assert await verifier.verify(kept) is keeps


async def test_another_key_under_the_same_id_ends_what_the_first_one_opened(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    remembered = fresh(key)
    assert await accepts(verifier, remembered)
    other = SigningKey.make("EdDSA", key.key_id)
    issuer.publish(other)
    clock.advance(jwks.TTL_SECONDS)
    assert await accepts(verifier, fresh(other))
    assert not await accepts(verifier, remembered)


async def test_keys_outlive_an_issuer_that_is_down_by_an_hour(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    remembered = fresh(key)
    assert await accepts(verifier, remembered)
    await issuer.stop()
    for ahead in (310, 10, 10, 1200, 1200, 869):
        clock.advance(ahead)
        assert await accepts(verifier, fresh(key))
        assert await accepts(verifier, remembered)
        assert await cannot_tell(verifier, fresh(new_key()))
    clock.advance(1)
    assert await cannot_tell(verifier, fresh(key))
    assert await cannot_tell(verifier, remembered)


async def test_users_do_not_wait_for_an_issuer_known_to_be_down_while_their_keys_are_kept(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    await issuer.stop()
    clock.advance(jwks.TTL_SECONDS)
    assert await accepts(verifier, fresh(key))
    await issuer.start()
    issuer.was_asked.clear()
    issuer.gate.clear()
    clock.advance(jwks.COOLDOWN_SECONDS)
    async with asyncio.timeout(2):
        assert all([await accepts(verifier, fresh(key)) for _ in range(20)])
        await issuer.was_asked.wait()
    issuer.gate.set()


async def test_an_issuer_that_comes_back_is_asked_again_after_the_cooldown(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    await issuer.stop()
    assert await cannot_tell(verifier, fresh(key))
    await issuer.start()
    clock.advance(jwks.COOLDOWN_SECONDS)
    assert await accepts(verifier, fresh(key))


async def test_an_issuer_that_comes_back_with_new_keys_is_believed(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    await issuer.stop()
    clock.advance(jwks.TTL_SECONDS)
    new = new_key()
    assert await cannot_tell(verifier, fresh(new))
    await issuer.start()
    issuer.publish(new)
    clock.advance(jwks.COOLDOWN_SECONDS)
    assert await accepts(verifier, fresh(new))
    assert not await accepts(verifier, fresh(key))


@pytest.fixture
async def client(settings: Settings, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    configured = replace(settings, better_auth_secret=SECRET, better_auth_url=ORIGIN, jwks_url=issuer.url)
    async with running(configured) as app:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.json()["code"] == "issuer_unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    assert "www-authenticate" not in answer.headers


async def test_without_an_issuer_the_answer_is_503_and_shared_secrets_go_on_working(
    client: httpx.AsyncClient, issuer: Issuer, key: SigningKey, capsys: pytest.CaptureFixture[str]
) -> None:
    await issuer.stop()
    assert_unavailable(await client.get(TASKS, headers=bearer(fresh(key))))
    assert (await client.get(TASKS, headers=bearer(BRIDGE.token(bridge())))).status_code == 200
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_an_issuer_that_hangs_costs_nobody_more_than_five_seconds(
    client: httpx.AsyncClient, issuer: Issuer, key: SigningKey
) -> None:
    issuer.gate.clear()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(client.get(TASKS, headers=bearer(fresh(key))) for _ in range(20)))
    for answer in answers:
        assert_unavailable(answer)
    assert issuer.fetches == 1


async def test_an_answer_that_never_ends_is_cut_off(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT_SECONDS", 0.2)
    issuer.endless = True
    async with asyncio.timeout(5):
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
async def test_a_bad_answer_is_no_answer_and_leaves_the_old_keys(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock, answer: str
) -> None:
    remembered = fresh(key)
    assert await accepts(verifier, remembered)
    for name, value in BAD_ANSWERS[answer].items():
        setattr(issuer, name, value(issuer) if callable(value) else value)
    clock.advance(jwks.TTL_SECONDS)
    assert await accepts(verifier, fresh(key))
    assert await accepts(verifier, remembered)
    assert await cannot_tell(verifier, fresh(new_key()))
    cold = TokenVerifier(settings_for(issuer))
    assert await cannot_tell(cold, fresh(key))
    await cold.close()


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


async def test_an_empty_set_means_that_there_are_no_keys(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    issuer.publish()
    clock.advance(jwks.TTL_SECONDS)
    assert not await accepts(verifier, fresh(key))


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
