from litestar import Controller, delete, get
from litestar.di import NamedDependency

from app.auth.bearer import FIRST_PARTY
from app.auth.caller import Caller
from app.http.answers import JSONResponse, nothing
from app.http.body import StrictRequest
from app.users import openapi
from app.users.repository import UserStore
from app.users.schemas import Profile, Stats

Request = StrictRequest[Caller]
Users = NamedDependency[UserStore]


class UserController(Controller):
    """The caller's own account."""

    path = "/api/{user_id:str}"
    tags = ["users"]  # noqa: RUF012 - Litestar reads it from the class

    @get(**openapi.PROFILE)
    async def profile(self, request: Request, users: Users) -> JSONResponse[Profile]:
        """Who the token speaks for, and how many tasks they have."""
        return JSONResponse(await users.profile(request.user))

    @get("/stats", **openapi.STATS)
    async def stats(self, request: Request, users: Users) -> JSONResponse[Stats]:
        """Count the user's tasks. Carries no ETag, because `overdue` changes with the clock."""
        return JSONResponse(await users.stats(request.user.id))

    @delete(**openapi.ERASE, **FIRST_PARTY)
    async def erase(self, request: Request, users: Users) -> JSONResponse[None]:
        """Delete everything that is stored for the user, at once and for good."""
        await users.erase(request.user.id)
        return nothing()
