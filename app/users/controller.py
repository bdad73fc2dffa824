from typing import Final

from litestar import Controller, delete, get
from litestar.di import NamedDependency

from app.http.body import StrictRequest
from app.http.openapi import operation, problems
from app.http.response import JSONResponse
from app.users.repository import UserRepository
from app.users.schemas import Profile, Stats

NUMBERS: Final = {"total": 12, "pending": 9, "completed": 3}
PROFILE_EXAMPLE: Final = {
    "id": "K3vYt0aQ",
    "email": "ada@example.com",
    "name": "Ada",
    "first_seen_at": "2026-11-01T09:00:00.123456+00:00",
    "revision": 1793523600123461,
    "counts": NUMBERS,
}
STATS_EXAMPLE: Final = {**NUMBERS, "overdue": 1, "by_priority": {"HIGH": 2, "MEDIUM": 9, "LOW": 1}}


class UserController(Controller):
    """The caller's own account."""

    path = "/api/{user_id:str}"
    tags = ["users"]  # noqa: RUF012 - Litestar reads it from the class

    @get(
        operation_id="getProfile",
        summary="Profile",
        responses=problems(),
        operation_class=operation(success="The profile", example=PROFILE_EXAMPLE),
    )
    async def profile(self, request: StrictRequest, users: NamedDependency[UserRepository]) -> JSONResponse[Profile]:
        """Who the token speaks for, and how many tasks they have."""
        return JSONResponse(await users.profile(request.user))

    @get(
        "/stats",
        operation_id="getStats",
        summary="Statistics",
        responses=problems(),
        operation_class=operation(success="The numbers", example=STATS_EXAMPLE),
    )
    async def stats(self, request: StrictRequest, users: NamedDependency[UserRepository]) -> JSONResponse[Stats]:
        """Count the user's tasks. Carries no ETag, because `overdue` changes with the clock."""
        return JSONResponse(await users.stats(request.user.id))

    @delete(
        operation_id="eraseAccount",
        summary="Erase the account",
        responses=problems(),
        operation_class=operation(success="Nothing of the user is left"),
    )
    async def erase(self, request: StrictRequest, users: NamedDependency[UserRepository]) -> JSONResponse[None]:
        """Delete everything that is stored for the user, at once and for good."""
        await users.erase(request.user.id)
        return JSONResponse(None, status=204)
