"""The files of the documentation page: few, packed once each, and cached for as long as they stay what they are.

Swagger UI's come out of its Python package, which is never imported: it would bring Jinja2 along. The image has no
other files of it than those that are named here (Containerfile).
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from zlib import MAX_WBITS, compress

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from zstandard import ZstdCompressor

from app.auth.bearer import PUBLIC
from app.http.compression import GZIP, ZSTD, accepted

SWAGGER_UI: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
OURS: Final = ("page.css", "page.js")
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
FOR_EVER: Final = "public, max-age=31536000, immutable"
PACKERS: Final[dict[bytes, Callable[[bytes], bytes]]] = {
    ZSTD.name: lambda body: ZstdCompressor(level=9).compress(body),  # its own each time: it is not safe with threads
    GZIP.name: lambda body: compress(body, level=6, wbits=MAX_WBITS | 16),
}
"""Of Swagger UI's 1.5 MB zstd leaves 0.37 and gzip 0.41."""


@cache
def contents() -> Mapping[str, bytes]:
    """Read every file."""
    package = find_spec("swagger_ui")
    assert package is not None and package.origin is not None  # noqa: S101, PT018 - a dependency of ours
    folders = {Path(package.origin).parent / "static": SWAGGER_UI, Path(__file__).parent / "static": OURS}
    return {name: (folder / name).read_bytes() for folder, names in folders.items() for name in names}


@cache
def version() -> str:
    """Return what changes with any of the files."""
    return sha256(b"".join(contents().values())).hexdigest()[:12]


@lru_cache(maxsize=16)
def _packed(body: bytes, coding: bytes) -> bytes:
    return PACKERS[coding](body)


def respond(request: Request[Any, Any, Any], body: bytes, media_type: str, *, cache_control: str) -> Response[bytes]:
    """Answer with a body that is the same for everybody, packed if the client accepts it."""
    headers = {"cache-control": cache_control, "vary": "Accept-Encoding"}
    if coding := accepted(request.scope):
        body = _packed(body, coding.name)
        headers["content-encoding"] = coding.name.decode()
    return Response(body, media_type=media_type, headers=headers)


@get("/docs/assets/{of:str}/{name:str}", opt=PUBLIC, include_in_schema=False, sync_to_thread=True)
def asset(request: Request[Any, Any, Any], of: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """Return a file of the page; what a page of another version asks for is not kept."""
    body = contents().get(name)
    if body is None:
        raise NotFoundException
    media_type = TYPES[Path(name).suffix]
    cache_control = FOR_EVER if of == version() else "no-store"
    if media_type == TYPES[".png"]:  # is packed already
        return Response(body, media_type=media_type, headers={"cache-control": cache_control})
    return respond(request, body, media_type, cache_control=cache_control)
