"""Where a request ends (RFC 9112), byte for byte: nobody may take a part of a body for a request."""

import pytest

from app.settings import Settings
from tests.http.connections import converse

HEAD = b"POST /first HTTP/1.1\r\nHost: x\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

BODIES: dict[str, bytes] = {
    "no body": b"\r\n",
    "a length of zero": b"Content-Length: 0\r\n\r\n",
    "a length": b"Content-Length: %d\r\n\r\n%s" % (len(SMUGGLED), SMUGGLED),
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n3;a=b\r\nabc\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
    "chunks and trailers": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
}
UPGRADES: list[bytes] = [
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Upgrade: websocket\r\nCONNECTION: Keep-Alive, Upgrade\r\nSec-WebSocket-Key: eA==\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Connection: upgrade\r\nUpgrade:\r\n",
    b"Connection: upgrade\r\nConnection: close\r\nUpgrade: TLS/1.0\r\n",
]
PLAIN = b"Connection: keep-alive\r\n"


def bytewise(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("upgrade", UPGRADES)
async def test_upgrade_changes_nothing_about_where_a_request_ends_however_it_is_split(
    settings: Settings, upgrade: bytes, body: str
) -> None:
    closing = b"close" in upgrade
    plain = HEAD + (b"Connection: close\r\n" if closing else PLAIN) + BODIES[body] + NEXT
    expected = await converse(settings, plain)
    assert [status for status, _ in expected[0]] == ([200] if closing else [200, 200])
    assert expected[1] == closing
    whole = HEAD + upgrade + BODIES[body] + NEXT
    splits = [[whole], bytewise(whole), *([whole[:place], whole[place:]] for place in range(1, len(whole)))]
    for pieces in splits:
        answers, ended = await converse(settings, *pieces)
        assert (answers, ended) == expected, pieces


async def test_requests_with_upgrade_may_follow_each_other_in_one_piece(settings: Settings) -> None:
    upgraded = HEAD + UPGRADES[0] + BODIES["a length"] + HEAD + UPGRADES[1] + BODIES["chunks"]
    for pieces in ([(upgraded + NEXT) * 3], bytewise((upgraded + NEXT) * 3)):
        answers, ended = await converse(settings, *pieces)
        paths = [text.split(" ")[1] for _, text in answers]
        assert (paths, ended) == (["/first", "/first", "/next"] * 3, False)
        assert answers[0][1].endswith(SMUGGLED.decode())
        assert answers[1][1].endswith(SMUGGLED.decode() + "abc")


async def test_http_1_0_ends_its_connection_with_or_without_upgrade(settings: Settings) -> None:
    for extra in (b"", b"Connection: keep-alive\r\n", b"Connection: keep-alive, upgrade\r\nUpgrade: h2c\r\n"):
        head = b"POST /first HTTP/1.0\r\n" + extra
        for data in (head + BODIES["a length"] + NEXT, head + b"\r\n"):
            for pieces in ([data], bytewise(data)):
                answers, ended = await converse(settings, *pieces)
                assert ([status for status, _ in answers], ended) == ([200], True)


async def test_trailers_are_no_headers(settings: Settings) -> None:
    data = HEAD + BODIES["chunks and trailers"]
    for pieces in ([data], bytewise(data), [HEAD + UPGRADES[0] + BODIES["chunks and trailers"]]):
        [(status, text)], _ = await converse(settings, *pieces)
        assert (status, text) == (200, "POST /first  abc")


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED: dict[str, bytes] = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "two Hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n",
    "a Host with a space": b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
    "a Host with a path": b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "CONNECT with a body": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    "an address without a path": b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the address": b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a control character in the address": b"GET /\x1b HTTP/1.1\r\nHost: x\r\n\r\n",
    "DEL in the address": b"GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
    "a byte beyond ASCII in the address": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": HEAD + b"A: b\x00c\r\n\r\n",
    "a control character in a header": HEAD + b"A: b\x01c\r\n\r\n",
    "NUL in a name": HEAD + b"A\x00: b\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 3\r\n\r\nabc",
    "a space before the first header": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "a line without a colon": HEAD + b"abc\r\n\r\n",
    "a folded header": HEAD + b"A: b\r\n c\r\n\r\n",
    "a folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare LF between headers": HEAD + b"A: b\nContent-Length: 3\r\n\r\nabc",
    "bare CR between headers": HEAD + b"A: b\rContent-Length: 3\r\n\r\nabc",
    "two lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "the same length twice": HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": HEAD + b"Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": HEAD + b"Content-Length: +3\r\n\r\nabc",
    "a negative length": HEAD + b"Content-Length: -3\r\n\r\nabc",
    "a hexadecimal length": HEAD + b"Content-Length: 0x3\r\n\r\nabc",
    "an empty length": HEAD + b"Content-Length:\r\n\r\nabc",
    "an endless length": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "a length, then chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks, then a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "Upgrade, chunks and a length": HEAD
    + UPGRADES[0]
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Upgrade and xchunked": HEAD + UPGRADES[0] + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    **{
        f"coding {coding!r}": HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
        for coding in (
            b"xchunked",
            b"identity",
            b"gzip",
            b"gzip, chunked",
            b"chunked, identity",
            b"chunked, chunked",
            b"\x0bchunked",
            b"chunked;q=1",
            b'"chunked"',
            b"",
        )
    },
    "two codings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    **{
        f"chunk {chunk!r}": CHUNKED + chunk
        for chunk in (
            b"0x3\r\nabc\r\n0\r\n\r\n",
            b"+3\r\nabc\r\n0\r\n\r\n",
            b"-3\r\nabc\r\n0\r\n\r\n",
            b"3 \r\nabc\r\n0\r\n\r\n",
            b" 3\r\nabc\r\n0\r\n\r\n",
            b"3\nabc\n0\n\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\r\nabc0\r\n\r\n",
            b"fffffffffffffffff\r\nabc",
            b"\r\n",
            b"3;\x00\r\nabc\r\n0\r\n\r\n",
            b"3;a\nb\r\nabc\r\n0\r\n\r\n",
            b"3\rX\nabc\r\n0\r\n\r\n",
            b"3\r\nabc\r\n0\r\nA : b\r\n\r\n",
            b"3\r\nabc\r\n0\r\nA: \x00\r\n\r\n",
        )
    },
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(settings: Settings, case: str) -> None:
    data = REFUSED[case] + NEXT
    for pieces in ([data], bytewise(data)):
        answers, ended = await converse(settings, *pieces)
        assert ([status for status, _ in answers], ended) == ([400], True), pieces


async def test_a_refusal_waits_for_the_answers_before_it(settings: Settings) -> None:
    for pieces in ([NEXT * 3 + REFUSED["no Host"] + NEXT], bytewise(NEXT * 3 + REFUSED["no Host"] + NEXT)):
        answers, ended = await converse(settings, *pieces)
        assert ([status for status, _ in answers], ended) == ([200, 200, 200, 400], True)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", 200),
        (b"GET http://x/y HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 8191), 200),
        (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 8192), 414),
        (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 50_000), 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 16_300), 200),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 16_400), 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n%s: a\r\n\r\n" % (b"a" * 16_400), 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"a:b\r\n" * 99), 200),
        (b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"a:b\r\n" * 100), 431),
    ],
    ids=range(13),
)
async def test_heads_have_a_largest_size(settings: Settings, head: bytes, status: int) -> None:
    for before in (b"", NEXT, NEXT * 20, HEAD + UPGRADES[0] + BODIES["a length"]):
        for pieces in (
            [before + head],
            [before, head],
            thousands(before + head),
            [*bytewise(before + head[:99]), head[99:]],
        ):
            answers, ended = await converse(settings, *pieces)
            earlier = before.count(b"HTTP/1.1") - before.count(SMUGGLED)
            assert [found for found, _ in answers] == [200] * earlier + [status], (before, pieces)
            assert ended == (status != 200 or b"HTTP/1.0" in head)


@pytest.mark.parametrize(
    ("beginning", "endless", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"a", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a:b\r\n", 431),
        (b"GET /", b"a", 414),
        (b"", b"\r\n", 431),
        (CHUNKED + b"3\r\nabc\r\n3;", b"a", 400),
        (CHUNKED + b"0\r\nA: ", b"a", 400),
        (CHUNKED + b"3\r\nabc\r\n0\r\n", b"a:b\r\n", 400),
    ],
    ids=range(8),
)
async def test_what_does_not_end_is_refused(settings: Settings, beginning: bytes, endless: bytes, status: int) -> None:
    for before in (b"", NEXT, HEAD + UPGRADES[0] + BODIES["a length"]):
        data = before + beginning + (endless * (40_000 // len(endless)))
        answers, ended = await converse(settings, *thousands(data))
        assert [found for found, _ in answers] == [200] * (before != b"") + [status]
        assert ended


def thousands(data: bytes) -> list[bytes]:
    return [data[place : place + 1000] for place in range(0, len(data), 1000)]


async def test_a_long_body_in_small_pieces_is_none_of_that(settings: Settings) -> None:
    body = b"a" * 60_000
    for head in (HEAD + b"Content-Length: 60000\r\n\r\n" + body, CHUNKED + b"ea60\r\n" + body + b"\r\n0\r\n\r\n"):
        answers, ended = await converse(settings, *(head[place : place + 100] for place in range(0, len(head), 100)))
        assert ([status for status, _ in answers], ended) == ([200], False)


async def test_more_than_a_hundred_waiting_requests_are_refused_after_the_answers(settings: Settings) -> None:
    answers, ended = await converse(settings, NEXT * 1000)
    assert [status for status, _ in answers] == [200] * 101 + [400]
    assert ended
