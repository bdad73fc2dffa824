"""An issuer of tokens for tests: keys that sign, and a server that publishes them as a test tells it to."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS512", "PS256")
CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
RSA_BITS = 2048


@dataclass(frozen=True)
class SigningKey:
    algorithm: str
    key_id: str
    private: PrivateKey

    @classmethod
    def make(cls, algorithm: str, key_id: str, *, bits: int = RSA_BITS) -> Self:
        if algorithm in CURVES:
            return cls(algorithm, key_id, ec.generate_private_key(CURVES[algorithm]))
        if algorithm in {"EdDSA", "Ed25519"}:
            return cls(algorithm, key_id, ed25519.Ed25519PrivateKey.generate())
        return cls(algorithm, key_id, rsa.generate_private_key(65537, bits))

    def using(self, algorithm: str) -> Self:
        """Sign with the same key in another algorithm's way."""
        return replace(self, algorithm=algorithm)

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        digest = HASHES[self.algorithm[2:]]
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(digest)))
            return raw(r, s, self.private.key_size)
        if self.algorithm.startswith("PS"):
            return self.private.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        return self.private.sign(message, padding.PKCS1v15(), digest)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """Describe the public key as Better Auth publishes it: with `alg` and `kid`, without `use`."""
        public: Any = self.private.public_key()
        kind = {"Ed": "EdDSA", "ES": "ES256"}.get(self.algorithm[:2], "RS256")
        members = jwt.get_algorithm_by_name(kind).to_jwk(public, as_dict=True)
        members.pop("key_ops", None)
        named = {"alg": self.algorithm, **members, "kid": self.key_id, **changes}
        return {name: value for name, value in named.items() if value is not ...}

    def public_bytes(self, encoding: Encoding) -> bytes:
        return self.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def token(self, claims: Any, **header: Any) -> str:
        """Sign anything; a header member that is `...` is left out."""
        named = {"alg": self.algorithm, "kid": self.key_id, **header}
        message = signed_part({name: value for name, value in named.items() if value is not ...}, claims)
        return f"{message}.{segment(self.sign(message.encode()))}"


def raw(r: int, s: int, bits: int) -> bytes:
    """Encode an ECDSA signature as JWS does (RFC 7518, section 3.4)."""
    size = (bits + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def signed_part(header: Any, claims: Any) -> str:
    return ".".join(
        segment(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims)
    )


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Publishes `keys` at every path, unless told otherwise by the other attributes."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys: list[Mapping[str, Any]] = [key.jwk() for key in keys]
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None
        self.endless = False
        self.gate = asyncio.Event()
        """Answers wait until it is set."""
        self.gate.set()
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self._port = 0
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def fetches(self) -> int:
        return len(self.asked)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def publish(self, *keys: SigningKey) -> None:
        self.keys = [key.jwk() for key in keys]

    async def start(self) -> None:
        """Listen, after a stop on the same port again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and break those that are open."""
        if self._server is not None:
            self._server.close()
            for answering in self._answering:
                answering.cancel()
            await asyncio.gather(*self._answering)
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._answering.add(task)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(request.split(b" ", 2)[1].decode())
            self.was_asked.set()
            await self.gate.wait()
            body = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
            length = {} if self.endless else {"Content-Length": str(len(body))}
            lines = {"Content-Type": "application/json", "Connection": "close", **length, **self.headers}
            head = [f"HTTP/1.1 {self.status} Answer", *(f"{name}: {value}" for name, value in lines.items()), "", ""]
            writer.write("\r\n".join(head).encode() + body)
            while self.endless:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()  # one of the sides has had enough
        finally:
            self._answering.discard(task)
            writer.close()


@asynccontextmanager
async def issuing(*keys: SigningKey) -> AsyncIterator[Issuer]:
    """Publish the keys on a free port of the loopback."""
    issuer = Issuer(*keys)
    await issuer.start()
    try:
        yield issuer
    finally:
        await issuer.stop()
