"""The documentation page, served by the app itself and nothing of it by others; in development it is signed in."""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from litestar import MediaType, Request, Response, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Tag
from msgspec import json

from app.auth.bearer import PUBLIC
from app.auth.mint import mint
from app.auth.scopes import READ, WRITE
from app.docs import assets
from app.settings import VERSION, Settings

PATH: Final = "/docs"
BEARER: Final = "bearerAuth"
DEVELOPMENT_USER: Final = "dev-user"
TOKEN_SECONDS: Final = 24 * 3600
LOOPBACK: Final = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}  # the last on a socket of both families
SAME_ORIGIN: Final = "same-origin"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
START: Final = "const token = %s;\n"
DESCRIPTION: Final = """Tasks for users who sign in with Better Auth.

Send `Authorization: Bearer <token>` with every request; `me` stands for your own user id in every path. Every error is
`application/problem+json`; show `detail` to people, decide by `code`. An `ETag` is a revision number: send it back in
`If-None-Match` to learn that nothing changed, in `If-Match` to write only if nothing did. No text may contain U+0000.
"""
ACCESS_TOKEN: Final = (
    f"An access token of Better Auth. That of an OAuth client needs the scope `{READ}` for GET and HEAD, `{WRITE}` for "
    "every other method; otherwise the answer is 403 `insufficient_scope`."
)


class Page(OpenAPIRenderPlugin):
    """Swagger UI at /docs."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return _page()  # it fetches /openapi.json by itself


def openapi(settings: Settings) -> OpenAPIConfig:
    """Configure the document and /docs; in development, callers from this machine are signed in there."""

    @get(
        "/start.js", media_type="text/javascript", cache_control=CacheControlHeader(no_store=True), sync_to_thread=False
    )
    def start(request: Request[Any, Any, Any]) -> str:
        # The name counts too: a foreign one that resolves to this machine is another site's page (DNS rebinding).
        # And so does the page: those of this machine's other ports may call the API, but bring tokens of their own.
        caller = request.client.host if request.client else None
        local = caller in LOOPBACK and request.base_url.hostname in {*LOOPBACK, "localhost"}
        ours = request.headers.get("sec-fetch-site", SAME_ORIGIN) == SAME_ORIGIN
        token = mint(settings, DEVELOPMENT_USER, TOKEN_SECONDS) if settings.development and local and ours else None
        return START % json.encode(token).decode()

    access_token = SecurityScheme("http", ACCESS_TOKEN, scheme="bearer", bearer_format="JWT")
    return OpenAPIConfig(
        title="Task API",
        version=VERSION,
        license=License("MIT", identifier="MIT"),
        use_handler_docstrings=True,
        description=DESCRIPTION,
        render_plugins=[Page()],
        path=PATH,  # for the commands; the router has it from here
        openapi_router=Router(
            PATH,
            route_handlers=[start],
            include_in_schema=False,
            opt=PUBLIC,
            response_headers={"content-security-policy": POLICY, "cross-origin-resource-policy": "same-origin"},
        ),
        components=Components(security_schemes={BEARER: access_token}),
        security=[{BEARER: []}],
        tags=[Tag("tasks", "The caller's tasks"), Tag("users", "The caller's account"), Tag("service", "Probes")],
    )


@cache
def _page() -> bytes:
    return (Path(__file__).parent / "static" / "page.html").read_bytes().replace(b"VERSION", assets.version().encode())


@get("/openapi.json", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the OpenAPI document."""
    return assets.respond(request, _encoded(request.app), MediaType.JSON, cache_control="no-cache")


@lru_cache(maxsize=4)  # a process has one application; what makes many of them keeps few
def _encoded(app: Any) -> bytes:
    return json.encode(app.openapi_schema.to_schema())
