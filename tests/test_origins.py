import time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.origins import Grant, Origins, is_origin, read

PRODUCTION: Final = Origins(read("https://app.example.org, https://*.example.com, https://*.example.net:8443"))
DEVELOPMENT: Final = Origins(loopback=True)


@pytest.mark.parametrize(
    ("origin", "grant"),
    [
        ("https://app.example.org", Grant.READ_WITH_CREDENTIALS),
        ("https://app.example.org:443", Grant.NOTHING),  # no browser writes a default port
        ("https://app.example.org:8443", Grant.NOTHING),
        ("http://app.example.org", Grant.NOTHING),
        ("https://app.example.org.", Grant.NOTHING),
        ("https://app.example.org/", Grant.NOTHING),
        ("https://app.example.org\n", Grant.NOTHING),
        ("\nhttps://app.example.org", Grant.NOTHING),
        ("https://app.example.org, https://app.example.org", Grant.NOTHING),
        ("HTTPS://APP.EXAMPLE.ORG", Grant.NOTHING),
        ("https://appxexample.org", Grant.NOTHING),
        ("https://evil-app.example.org", Grant.NOTHING),
        ("https://app.example.org.evil.net", Grant.NOTHING),
        ("https://app.example.com", Grant.READ),
        ("https://pr-17_x.example.com", Grant.READ),
        ("https://xn--mller-kva.example.com", Grant.READ),
        ("https://müller.example.com", Grant.NOTHING),
        ("https://example.com", Grant.NOTHING),
        ("https://.example.com", Grant.NOTHING),
        ("https://evil-example.com", Grant.NOTHING),
        ("https://evil.net#.example.com", Grant.NOTHING),
        ("https://evil.net/.example.com", Grant.NOTHING),
        ("https://evil@x.example.com", Grant.NOTHING),
        ("https://a.b.example.com", Grant.NOTHING),
        ("https://app.example.com.", Grant.NOTHING),
        ("https://app.examplexcom", Grant.NOTHING),
        ("https://app.example.com.evil.net", Grant.NOTHING),
        ("https://app.example.com\n", Grant.NOTHING),
        ("https://evil\n.example.com", Grant.NOTHING),
        ("https://app.example.com:8443", Grant.NOTHING),
        ("http://app.example.com", Grant.NOTHING),
        ("https://*.example.com", Grant.NOTHING),
        ("https://APP.example.com", Grant.NOTHING),
        (f"https://{'a' * 64}.example.com", Grant.NOTHING),
        ("https://app.example.net:8443", Grant.READ),
        ("https://app.example.net", Grant.NOTHING),
        ("http://localhost:3000", Grant.NOTHING),
        ("null", Grant.NOTHING),
        ("*", Grant.NOTHING),
        ("", Grant.NOTHING),
    ],
)
def test_in_production_an_origin_is_one_of_the_list_or_one_label_below(origin: str, grant: Grant) -> None:
    assert PRODUCTION.grant(origin) is grant


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost", "https://localhost", "http://localhost:3000", "https://localhost:65535"),
        *("http://app.localhost:5173", "http://a.b.localhost", "http://127.0.0.1:8081", "http://127.255.255.254"),
        *("http://[::1]", "https://[::1]:3000"),
    ],
)
def test_in_development_every_loopback_origin_is_trusted(origin: str) -> None:
    assert DEVELOPMENT.grant(origin) is Grant.READ_WITH_CREDENTIALS
    assert PRODUCTION.grant(origin) is Grant.NOTHING


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost.evil.net", "http://localhost.", "http://evil-localhost", "http://localhostx", "http://.localhost"),
        *("http://127.0.0.1.evil.net", "http://127.0.0.256", "http://127.0.0", "http://127.1", "http://128.0.0.1"),
        *("http://1127.0.0.1", "http://0.0.0.0:3000", "http://192.168.1.5:3000", "http://[::2]", "http://[::1", "http://[::1].x"),
        *("http://localhost:3000\n", "http://localhost:", "http://localhost:x", "http://localhost:3000/", "http://x@localhost"),
        *("HTTP://LOCALHOST", "ftp://localhost", "xhttp://localhost", "null", "http://evil.net#localhost", "http://app.example.org"),
    ],
)  # fmt: skip
def test_in_development_nothing_else_is(origin: str) -> None:
    assert DEVELOPMENT.grant(origin) is Grant.NOTHING


def test_of_several_entries_the_one_that_says_most_counts() -> None:
    mixed = read("https://*.example.com,https://app.example.com")
    for origins in (Origins(mixed), Origins(mixed[::-1])):
        assert origins.grant("https://app.example.com") is Grant.READ_WITH_CREDENTIALS
        assert origins.grant("https://other.example.com") is Grant.READ


def test_any_origin_may_read_without_credentials_and_those_of_development_with_them() -> None:
    for origin in ("https://anywhere.example", "null", "", "http://localhost:3000"):
        assert Origins(read("*")).grant(origin) is Grant.READ
    assert Origins(read("*"), loopback=True).grant("http://localhost:3000") is Grant.READ_WITH_CREDENTIALS


def test_answers_are_the_same_for_all_where_nobody_has_permission() -> None:
    assert Origins().none
    assert not any(Origins(read(text)).none for text in ("*", "https://a.example.com", "https://*.example.com"))
    assert not DEVELOPMENT.none


@given(st.text(st.sampled_from("ahtps:/.*-_@#?0123456789example.comlocalhost[]\n\r\t éA"), max_size=60))
def test_what_is_let_in_is_an_origin_and_belongs_to_the_list(text: str) -> None:
    for origin in (
        text,
        f"https://{text}.example.com",
        f"https://app.example.com{text}",
        f"http://{text}localhost{text}",
    ):
        if PRODUCTION.grant(origin) is not Grant.NOTHING:
            scheme, _, host = origin.partition("://")
            assert scheme == "https"
            assert host.count(".") == 2
            assert host.endswith((".example.com", ".example.net:8443"))
        if DEVELOPMENT.grant(origin) is not Grant.NOTHING:
            assert is_origin(origin)


def test_long_values_take_no_time() -> None:
    started = time.process_time()
    for origin in ("http://" + "a." * 30_000, "http://" + "a" * 60_000, "http://" + "a." * 126 + "x", "127." * 9000):
        assert DEVELOPMENT.grant(origin) is PRODUCTION.grant(origin) is Grant.NOTHING
        assert not is_origin("https://" + origin)
    assert time.process_time() - started < 0.5
