import gzip
import re
from collections.abc import Callable

import httpx
import pytest
from zstandard import ZstdDecompressor

from app.docs.assets import contents, version


@pytest.mark.parametrize(
    ("accepted", "coding", "unpack"),
    [
        ("gzip, deflate, br, zstd", "zstd", ZstdDecompressor().decompress),
        ("gzip", "gzip", gzip.decompress),
        ("identity", None, bytes),
    ],
)
def test_assets_are_packed_as_the_client_accepts_and_cached_for_ever_by_version(
    production: str, accepted: str, coding: str | None, unpack: Callable[[bytes], bytes]
) -> None:
    names = re.findall(r"/docs/assets/\w+/[\w.-]+", httpx.get(f"{production}/docs").text)
    assert len(names) == 5
    for name in names:
        with httpx.stream("GET", f"{production}{name}", headers={"Accept-Encoding": accepted}) as answer:
            body = b"".join(answer.iter_raw())
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        if not name.endswith(".png"):
            assert "Accept-Encoding" in answer.headers["vary"]
            assert answer.headers.get("content-encoding") == coding
            body = unpack(body)
        assert body == contents()[name.rpartition("/")[2]]


def test_assets_of_another_version_are_not_kept_and_no_other_files_are_served(production: str) -> None:
    stale = httpx.get(f"{production}/docs/assets/0123456789ab/page.js")
    assert (stale.status_code, stale.headers["cache-control"]) == (200, "no-store")
    for name in ("swagger-ui.js", "swagger-editor.js", "..%2Fpage.html", "page.html"):
        assert httpx.get(f"{production}/docs/assets/{version()}/{name}").status_code == 404


def test_the_document_is_packed_for_clients_that_accept_it(production: str) -> None:
    plain = httpx.get(f"{production}/openapi.json", headers={"Accept-Encoding": "identity"})
    packed = httpx.get(f"{production}/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) * 4 < int(plain.headers["content-length"])
    assert packed.json() == plain.json()
