"""Whose address counts. What a client writes into a header changes nothing unless a trusted proxy stands behind it."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ratelimit.client_address import LONGEST_CHAIN, ClientAddress

PROXY: Final = "10.0.0.7"
FAR: Final = "203.0.113.9"
PROXIES: Final = ("10.0.0.0/8", "2001:db8:aaaa::/48", "192.0.2.1")
CHAIN: Final = {"forwarded": "for=198.51.100.1", "x-forwarded-for": "198.51.100.1"}


def address(peer: str | None, *headers: tuple[str, str], proxies: tuple[str, ...] = PROXIES) -> str:
    client = (peer, 50000) if peer is not None else None
    scope: Any = {"client": client, "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]}
    return ClientAddress(proxies)(scope)


@pytest.mark.parametrize(
    ("peer", "stands_for"),
    [
        (FAR, FAR),
        ("::ffff:203.0.113.9", FAR),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unix"),
    ],
)
def test_a_client_is_an_ipv4_address_or_the_64_of_an_ipv6_address(peer: str | None, stands_for: str) -> None:
    assert address(peer) == stands_for


@pytest.mark.parametrize("peer", [FAR, "192.0.2.2", "2001:db8:1::1", None])
@given(values=st.lists(st.tuples(st.sampled_from(sorted(CHAIN)), st.text(st.characters(max_codepoint=255)))))
def test_nothing_in_the_headers_of_an_untrusted_peer_counts(peer: str | None, values: list[tuple[str, str]]) -> None:
    chain = [*values, *CHAIN.items()]
    assert address(peer, *chain) == address(peer)
    assert address(FAR, *chain, proxies=()) == FAR


@given(values=st.lists(st.tuples(st.sampled_from(sorted(CHAIN)), st.text(st.sampled_from('fFor=";, \\[]:.1a_/')))))
def test_any_text_from_a_trusted_proxy_ends_at_some_address(values: list[tuple[str, str]]) -> None:
    assert address(PROXY, *values)


@pytest.mark.parametrize("name", ["forwarded", "x-forwarded-for"])
@pytest.mark.parametrize(
    ("hops", "found"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6", "198.51.100.1", "10.1.1.1"], "198.51.100.1"),
        (["198.51.100.1", "2001:db8:aaaa::5", "10.1.1.1", "192.0.2.1"], "198.51.100.1"),
        (["10.2.2.2", "10.1.1.1"], "10.2.2.2"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["[2001:db8:5:6:7::8]"], "2001:db8:5:6::/64"),
        (["[2001:db8:5:6:7::8]:4711"], "2001:db8:5:6::/64"),
        (["2001:db8:5:6:7::8"], "2001:db8:5:6::/64"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6", "::ffff:10.1.1.1"], "6.6.6.6"),
        # what names nobody ends the chain: whoever said so is the last one that is known
        (["6.6.6.6", "unknown"], PROXY),
        (["6.6.6.6", "_hidden"], PROXY),
        (["6.6.6.6", "unknown", "10.1.1.1"], "10.1.1.1"),
        (["6.6.6.6", ""], PROXY),
        (["6.6.6.6", "198.51.100.256"], PROXY),
        (["6.6.6.6", "198.51.100.01"], PROXY),
        (["6.6.6.6", "198.51.100.1:port"], PROXY),
        (["6.6.6.6", "3325256705"], PROXY),
        (["6.6.6.6", "example.org"], PROXY),
        (["6.6.6.6", "fe80::1%eth0"], PROXY),
        (["6.6.6.6", "[198.51.100.1"], PROXY),
        (["6.6.6.6", *["10.1.1.1"] * LONGEST_CHAIN], "10.1.1.1"),
    ],
)
@pytest.mark.parametrize("lines", [False, True], ids=["a list", "several lines"])
def test_a_chain_is_followed_from_the_right_as_long_as_it_is_trusted(
    name: str, hops: list[str], found: str, lines: bool
) -> None:
    values = [f'for="{hop}";proto=https' for hop in hops] if name == "forwarded" else hops
    assert address(PROXY, *[(name, value) for value in (values if lines else [", ".join(values)])]) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ("For=198.51.100.1;PROTO=https;by=10.0.0.7", "198.51.100.1"),
        ('by="a,b;for=6.6.6.6";for=198.51.100.1', "198.51.100.1"),
        (r'by="\"";for=198.51.100.1', "198.51.100.1"),
        ("for=6.6.6.6 , for=198.51.100.1 ;host=x", "198.51.100.1"),
        ("for=6.6.6.6,proto=https", PROXY),
        ("for=6.6.6.6;for=198.51.100.1", PROXY),
        ('for="6.6.6.6, for=198.51.100.1', PROXY),
        ("for=198.51.100.1:80", PROXY),
        ("for = 198.51.100.1", PROXY),
        ("for=[2001:db8::1]", PROXY),
        ("198.51.100.1", PROXY),
        ("for=", PROXY),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it_or_names_nobody(value: str, found: str) -> None:
    assert address(PROXY, ("forwarded", value)) == found


def test_an_open_quote_of_the_client_does_not_reach_into_the_line_of_the_proxy() -> None:
    assert address(PROXY, ("forwarded", 'for="6.6.6.6'), ("forwarded", "for=198.51.100.1")) == "198.51.100.1"
    assert address(PROXY, ("forwarded", 'for="6.6.6.6'), ("forwarded", "for=10.1.1.1")) == "10.1.1.1"


def test_both_headers_count_only_where_they_agree() -> None:
    assert address(PROXY, *CHAIN.items()) == "198.51.100.1"
    assert address(PROXY, ("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "198.51.100.1")) == PROXY
    assert address(PROXY, ("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "6.6.6.6")) == PROXY


def test_peers_on_a_unix_socket_are_proxies_where_the_setting_says_so() -> None:
    assert address(None, *CHAIN.items()) == "unix"
    assert address(None, *CHAIN.items(), proxies=("unix",)) == "198.51.100.1"
    assert address(None, ("x-forwarded-for", "unknown"), proxies=("unix",)) == "unix"
    assert address("not-an-address", *CHAIN.items(), proxies=("unix",)) == "unix"
