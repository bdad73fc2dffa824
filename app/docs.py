"""The documentation pages, served by the app itself: Swagger UI comes from a Python package, nothing from a CDN."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from litestar import MediaType, Request, Response, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Tag
from litestar.static_files import create_static_files_router
from msgspec import json

from app.auth.bearer import PUBLIC
from app.auth.mint import mint
from app.settings import VERSION, Settings

BEARER: Final = "bearerAuth"
DEVELOPMENT_USER: Final = "dev-user"
TOKEN_SECONDS: Final = 24 * 3600
LOOPBACK: Final = {"127.0.0.1", "::1"}
SAME_ORIGIN: Final = "same-origin"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Task API</title>
<link rel="icon" href="/docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START: Final = """const token = %s;
const ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: !token,
  onComplete: () => token && ui.preauthorizeApiKey("%s", token),
});
"""
DESCRIPTION: Final = """Tasks for users who sign in with Better Auth.

Send `Authorization: Bearer <token>` with every request; `me` stands for your own user id in every path. Every error is
`application/problem+json`; show `detail` to people, decide by `code`. An `ETag` is a revision number: send it back in
`If-None-Match` to learn that nothing changed, in `If-Match` to write only if nothing did. No text may contain U+0000.
"""


class Page(OpenAPIRenderPlugin):
    """Swagger UI at /docs."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return PAGE  # it fetches /openapi.json by itself


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
        return START % (json.encode(token).decode(), BEARER)

    access_token = SecurityScheme("http", "An access token of Better Auth.", scheme="bearer", bearer_format="JWT")
    return OpenAPIConfig(
        title="Task API",
        version=VERSION,
        license=License("MIT", identifier="MIT"),
        use_handler_docstrings=True,
        description=DESCRIPTION,
        render_plugins=[Page()],
        openapi_router=Router(
            "/docs",
            route_handlers=[start],
            include_in_schema=False,
            opt=PUBLIC,
            response_headers={"content-security-policy": POLICY, "cross-origin-resource-policy": "same-origin"},
        ),
        components=Components(security_schemes={BEARER: access_token}),
        security=[{BEARER: []}],
        tags=[Tag("tasks", "The caller's tasks"), Tag("users", "The caller's account"), Tag("service", "Probes")],
    )


@get("/openapi.json", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the OpenAPI document."""
    return Response(_encoded(request.app), media_type=MediaType.JSON)


@cache
def _encoded(app: Any) -> bytes:
    return json.encode(app.openapi_schema.to_schema())


def assets() -> Router:
    """Serve Swagger UI's files out of the installed package, which is never imported: it would bring Jinja2 along."""
    package = find_spec("swagger_ui")
    assert package is not None and package.origin is not None  # noqa: S101, PT018 - a dependency of ours
    return create_static_files_router(
        "/docs/assets",
        [Path(package.origin).parent / "static"],
        opt=PUBLIC,
        include_in_schema=False,
        cache_control=CacheControlHeader(max_age=86400, public=True),
    )
