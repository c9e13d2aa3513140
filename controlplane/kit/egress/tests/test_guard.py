"""Calls to forbidden places are refused, whatever form the address has and however one gets
there."""

import asyncio

import pytest
from django.test import override_settings

from controlplane.kit import egress
from controlplane.kit.egress import EgressRefused, EgressUnreachable, resolution
from controlplane.kit.egress.tests.conftest import answer


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",  # noqa: S104
        "0",
        "[::]",
        "[fe80::1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.64.0.1",
        "10.0.0.1",
        "127.0.0.1.",
        "１２７.0.0.1",
        "127。0。0。1",
    ],
)
def test_a_forbidden_address_is_refused_before_anything_is_sent(call, serve, host):
    server = serve(answer())
    with pytest.raises(EgressRefused) as refused:
        call("GET", f"http://{host}:{server.port}/")
    assert refused.value.code == "egress_refused"
    assert (refused.value.sent, refused.value.retryable) == (False, False)
    assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "//example.com/",
        "http://",
        "ws://example.com/",
        "unix:///run/x.sock",
        "http://user:pw@example.com/",
        "http://[::zz]/",
        "http://a b/",
        "http://example.com:99999/",
        "x",
        "",
    ],
)
def test_a_url_that_is_no_plain_http_address_is_refused(call, url):
    with pytest.raises(EgressRefused) as refused:
        call("GET", url)
    assert "pw" not in str(refused.value)


def test_the_refusal_names_host_and_reason(call, names):
    names["intern.test"] = ["10.1.2.3"]
    with pytest.raises(EgressRefused, match=r"intern\.test resolves to 10\.1\.2\.3, a private"):
        call("GET", "http://intern.test/")


def test_one_forbidden_address_among_good_ones_refuses_the_name(call, names):
    names["mixed.test"] = ["93.184.216.34", "127.0.0.1"]
    with pytest.raises(EgressRefused, match="loopback"):
        call("GET", "http://mixed.test/")


def test_the_connection_goes_to_the_address_that_was_checked(call, serve, names, settings):
    # A rebinding name: good at the check, loopback at a second look-up, which must not happen.
    server = serve(answer(b"secret"))
    settings.SPARKOPS_EGRESS_ALLOW = ["127.0.0.2/32"]
    names["rebind.test"] = [["127.0.0.2"], ["127.0.0.1"]]
    with pytest.raises(EgressUnreachable):
        call("GET", f"http://rebind.test:{server.port}/")
    assert server.connections == 0


def test_an_allowed_name_is_called_with_its_own_host_header(call, serve, names, loopback):
    server = serve(answer(b"hello"))
    names["one.test"] = ["127.0.0.1"]
    found = call("GET", f"http://one.test:{server.port}/x?y=1")
    assert (found.status_code, found.text) == (200, "hello")
    assert b"GET /x?y=1 " in server.requests[0]
    assert f"host: one.test:{server.port}".encode() in server.requests[0].lower()


def test_the_port_of_the_operators_entry_must_match(call, serve, settings):
    open_to, closed = serve(answer()), serve(answer())
    settings.SPARKOPS_EGRESS_ALLOW = [f"127.0.0.1:{open_to.port}"]
    assert call("GET", f"http://127.0.0.1:{open_to.port}/").status_code == 200
    with pytest.raises(EgressRefused):
        call("GET", f"http://127.0.0.1:{closed.port}/")


def test_an_open_connection_does_not_outlive_the_permission(serve):
    server = serve(answer())

    async def twice():
        with override_settings(SPARKOPS_EGRESS_ALLOW=["127.0.0.1/32"]):
            await egress.request("GET", f"http://127.0.0.1:{server.port}/")
        with override_settings(SPARKOPS_EGRESS_ALLOW=[]), pytest.raises(EgressRefused):
            await egress.request("GET", f"http://127.0.0.1:{server.port}/")
        await egress.aclose()

    asyncio.run(twice())
    assert len(server.requests) == 1


def test_the_next_address_is_tried_when_the_first_does_not_answer(call, serve, names, loopback):
    server = serve(answer())
    names["two.test"] = ["127.0.0.9", "127.0.0.1"]
    assert call("GET", f"http://two.test:{server.port}/").status_code == 200


def test_hosts_outside_the_allowed_ones_are_refused(call, serve, loopback):
    server = serve(answer())
    with pytest.raises(EgressRefused, match=r"not among the allowed hosts of this call \(api\."):
        call("GET", f"http://127.0.0.1:{server.port}/", allowed_hosts=["api.test"])
    assert server.connections == 0


def test_no_allowed_host_means_none(call):
    with pytest.raises(EgressRefused, match="allowed hosts"):
        call("GET", "http://example.com/", allowed_hosts=[])


def test_proxies_of_the_environment_are_not_used(call, serve, loopback, monkeypatch):
    proxy, server = serve(answer(b"proxy")), serve(answer(b"direct"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert call("GET", f"http://127.0.0.1:{server.port}/").text == "direct"
    assert proxy.connections == 0


def test_an_unknown_name_is_unreachable_and_may_be_tried_again(call, names):
    with pytest.raises(EgressUnreachable, match=r"nowhere\.test cannot be resolved") as failed:
        call("GET", "http://nowhere.test/")
    assert (failed.value.code, failed.value.retryable, failed.value.sent) == (
        "unreachable",
        True,
        False,
    )


def test_a_closed_port_is_unreachable_and_nothing_was_sent(call, serve, loopback):
    server = serve(answer())
    server.close()
    with pytest.raises(EgressUnreachable, match="connection refused") as failed:
        call("GET", f"http://127.0.0.1:{server.port}/")
    assert failed.value.sent is False


def test_a_connection_that_breaks_may_have_done_its_work(call, serve, loopback):
    server = serve(lambda conn, head: conn.close())
    with pytest.raises(EgressUnreachable) as failed:
        call("POST", f"http://127.0.0.1:{server.port}/", content=b"x")
    assert failed.value.sent is True


def test_an_answer_that_is_not_http_is_named_so(call, serve, loopback):
    server = serve(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    with pytest.raises(EgressUnreachable) as failed:
        call("GET", f"http://127.0.0.1:{server.port}/")
    assert failed.value.code == "protocol_error"


def test_a_real_lookup_gives_addresses_and_no_duplicates():
    found = resolution.lookup("localhost", 80)
    assert found
    assert len(found) == len(set(found))


def test_find_digs_the_cause_out_of_a_wrapped_exception():
    inner, outer = EgressRefused("no"), RuntimeError("wrapped")
    outer.__cause__ = inner
    assert egress.find(outer) is inner
    assert egress.find(ValueError("x")) is None
