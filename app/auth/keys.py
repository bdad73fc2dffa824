"""Where keys come from, per algorithm: a token's algorithm picks the one source that may verify it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class KeySource(Protocol):
    """Candidates for the key of a token with this header; async, because a source may have to fetch them."""

    async def candidates(self, header: Mapping[str, Any]) -> Sequence[Any]:
        """Return the keys that may have signed the token, none if it is unknown."""
        ...


class SharedSecrets:
    """The secrets shared with Better Auth, as raw UTF-8 bytes; more than one while they rotate."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [secret.encode() for secret in secrets]

    async def candidates(self, header: Mapping[str, Any]) -> Sequence[bytes]:  # noqa: ARG002 - HS256 names no key
        """Return all secrets."""
        return self._keys
