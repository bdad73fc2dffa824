"""Speaks with real Better Auth servers as a browser would, and with the process that runs them."""

import asyncio
import json
import secrets
import shutil
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt

FOLDER: Final = Path(__file__).parent
NODE_VERSION: Final = 20
SECONDS: Final = 30
"""For an answer: Better Auth may make a key of RSA for it."""

PASSWORD: Final = "correct horse battery staple"


class UnusableNodeError(Exception):
    """Programs for Node cannot run here; the message says what is missing."""


def install(folder: Path = FOLDER) -> None:
    """Install what the folder's package-lock.json names, once per version of that file. Raises UnusableNodeError."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise UnusableNodeError("node or npm is not installed")
    version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_VERSION:
        raise UnusableNodeError(f"node {version} is older than {NODE_VERSION}")
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".installed"
    if installed.is_file() and installed.read_bytes() == lock.read_bytes():
        return
    npm = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if npm.returncode:
        raise UnusableNodeError(f"npm ci failed: {npm.stderr.strip()[-500:]}")
    installed.write_bytes(lock.read_bytes())


@dataclass(frozen=True)
class Account:
    """A user of Better Auth, signed in."""

    id: str
    email: str
    name: str
    browser: httpx.AsyncClient
    """Carries the cookies of the session."""

    async def jwt(self) -> str:
        """Fetch an access token of the jwt() plugin."""
        response = (await self.browser.get("token")).raise_for_status()
        token: str = response.json()["token"]
        return token

    def cookie(self, name: str) -> str:
        value: str = self.browser.cookies[f"better-auth.{name}"]
        return value


@dataclass(frozen=True)
class Issuer:
    """A running Better Auth server."""

    runner: "Runner"
    config: dict[str, Any]
    port: int
    accounts: list[Account] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        path: str = self.config["options"].get("basePath", "/api/auth")
        return self.origin + path

    @property
    def secret(self) -> str:
        secret: str = self.config["options"]["secret"]
        return secret

    async def sign_up(self) -> Account:
        """Register a user whom nobody has seen before."""
        browser = httpx.AsyncClient(base_url=self.url, headers={"Origin": self.origin}, timeout=SECONDS)
        person = {"email": f"u{secrets.token_hex(8)}@example.org", "name": "Someone", "password": PASSWORD}
        response = (await browser.post("sign-up/email", json=person)).raise_for_status()
        account = Account(response.json()["user"]["id"], person["email"], person["name"], browser)
        self.accounts.append(account)
        return account

    async def mailed_token(self, email: str) -> str:
        """Return the token of the last link that was mailed to an address."""
        mails = await self._ask("mail")
        url: str = next(mail["url"] for mail in reversed(mails) if mail["email"] == email)
        (token,) = parse_qs(urlsplit(url).query)["token"]
        return token

    async def logout_token(self, client_id: str) -> str:
        """Return the last logout token that was sent to an OAuth client."""
        tokens: list[str] = [delivery["logout_token"] for delivery in await self._ask("deliveries")]
        audiences: list[str] = [jwt.decode(token, options={"verify_signature": False})["aud"] for token in tokens]
        return dict(zip(audiences, tokens, strict=True))[client_id]

    async def bridge_token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign claims with the shared secret, as a route that someone wrote by hand does."""
        answer = await self._ask("sign", header=header or {}, payload=claims)
        token: str = answer["token"]
        return token

    async def expire_keys(self, seconds: int) -> None:
        """Let every key have come to its rotation `seconds` ago; Better Auth makes the next one when it signs."""
        await self._ask("expire-keys", seconds=seconds)

    async def keys(self) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            response = (await client.get(f"{self.url}/jwks")).raise_for_status()
        keys: list[dict[str, Any]] = response.json()["keys"]
        return keys

    async def stop(self) -> None:
        await self.runner.command("stop", port=self.port)
        for account in self.accounts:
            await account.browser.aclose()

    async def _ask(self, control: str, **given: Any) -> Any:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            return (await client.post(f"{self.origin}/test/{control}", json=given)).raise_for_status().json()


class Runner:
    """One process of Node that holds all servers and ends with its stdin, even when we are killed."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def start(self, config: dict[str, Any]) -> Issuer:
        options = {"secret": secrets.token_urlsafe(32), **config.get("options", {})}
        config = {"plugins": {"jwt": {}}, **config, "options": options}
        answer = await self.command("start", **config)
        return Issuer(self, config, answer["port"])

    async def command(self, name: str, **given: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps({"command": name, **given}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


@asynccontextmanager
async def running() -> AsyncIterator[Runner]:
    process = await asyncio.create_subprocess_exec(
        "node", "server.mjs", cwd=FOLDER, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        yield Runner(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
