"""The pure rules: which addresses are out of bounds and what the operator's list lifts."""

from ipaddress import ip_address

import pytest

from controlplane.kit.egress import addresses
from controlplane.kit.egress.addresses import forbidden, host_matches, numeric_problem, permits


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.10", "loopback"),
        ("0.0.0.0", "this host"),  # noqa: S104
        ("0.1.2.3", "this host"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "NAT"),
        ("100.100.100.200", "NAT"),
        ("169.254.169.254", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "reserved"),
        ("192.0.2.1", "documentation"),
        ("198.18.0.1", "bench"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.9", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.1.1.1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("192.88.99.1", "reserved"),
        ("::1", "loopback"),
        ("::", "this host"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "private"),
        ("fec0::1", "private"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "documentation"),
        ("2001::1", "reserved"),
        ("2002:7f00:1::", "6to4"),
        ("3fff::1", "documentation"),
        ("100::1", "reserved"),
        ("5f00::1", "reserved"),
        ("4000::1", "reserved"),
        ("::127.0.0.1", "reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "metadata"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "metadata"),
        ("64:ff9b:1::1", "reserved"),
    ],
)
def test_an_address_that_is_not_public_is_forbidden_with_its_reason(raw, word):
    assert word in forbidden(ip_address(raw))


@pytest.mark.parametrize(
    "raw",
    [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "172.15.0.1",
        "172.32.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "169.253.1.1",
        "192.0.1.1",
        "2606:4700::1111",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_a_public_address_is_free(raw):
    assert forbidden(ip_address(raw)) == ""


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "0x",
        "256.1.1.1",
        "[fe80::1%25eth0]",
        "[::zz]",
    ],
)
def test_an_ambiguous_numeric_host_is_refused(host):
    assert numeric_problem(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "8.8.8.8", "[::1]", "api.example.com", "1e100.net", "x1", "3com.com."]
)
def test_a_plain_host_has_no_numeric_problem(host):
    assert numeric_problem(host) == ""


def _refused(raw, *, entries, name="x.test", port=80):
    return bool(addresses.refusal(raw, name=name, port=port, allow=permits(tuple(entries))))


def test_a_network_on_the_list_lifts_the_rule_for_every_port():
    assert not _refused("10.1.2.3", entries=["10.0.0.0/8"], port=9)
    assert _refused("11.1.2.3", entries=["10.0.0.0/8"]) is False
    assert _refused("192.168.0.1", entries=["10.0.0.0/8"])


def test_a_port_on_the_list_lifts_the_rule_for_that_port_only():
    assert not _refused("127.0.0.1", entries=["127.0.0.1:8123"], port=8123)
    assert _refused("127.0.0.1", entries=["127.0.0.1:8123"], port=8124)
    assert _refused("127.0.0.2", entries=["127.0.0.1:8123"], port=8123)


def test_a_name_on_the_list_lifts_the_rule_for_that_name_only():
    entries = ["model.internal:11434"]
    assert not _refused("10.9.9.9", entries=entries, name="Model.Internal.", port=11434)
    assert _refused("10.9.9.9", entries=entries, name="other.internal", port=11434)
    assert _refused("10.9.9.9", entries=entries, name="model.internal", port=80)


def test_the_list_sees_through_mapped_addresses():
    assert not _refused("::ffff:127.0.0.1", entries=["127.0.0.1:80"])
    assert not _refused("::1", entries=["[::1]:80"])
    assert _refused("::1", entries=["127.0.0.0/8"])


@pytest.mark.parametrize("entry", ["model.internal", "10.0.0.0/33", "x:0", "x:99999", "1.2.3:80"])
def test_a_wrong_entry_of_the_list_is_named(entry):
    with pytest.raises(ValueError, match="SPARKOPS_EGRESS_ALLOW"):
        permits((entry,))


def test_empty_entries_of_the_list_are_nothing():
    assert permits(("", "  ")) == ()


@pytest.mark.parametrize(
    ("host", "port", "pattern", "expected"),
    [
        ("api.test", 443, "api.test", True),
        ("API.test.", 443, "Api.Test", True),
        ("api.test", 443, "api.test:443", True),
        ("api.test", 80, "api.test:443", False),
        ("a.api.test", 443, "*.api.test", True),
        ("api.test", 443, "*.api.test", False),
        ("evilapi.test", 443, "*.api.test", False),
        ("evilapi.test", 443, "api.test", False),
        ("api.test.evil", 443, "api.test", False),
        ("[::1]", 80, "[::1]:80", True),
        ("[::1]", 81, "[::1]:80", False),
        ("[::1]", 80, "::1", True),
    ],
)
def test_allowed_hosts_match_whole_names(host, port, pattern, expected):
    assert host_matches(host, port, pattern) is expected
