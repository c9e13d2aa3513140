"""Redirects: each hop is checked anew, and another origin never sees a credential."""

import pytest

from controlplane.kit.egress import EgressRefused, EgressUnreachable
from controlplane.kit.egress.tests.conftest import answer


def moved(to: str, status: str = "302 Found") -> bytes:
    return answer(b"", status=status, headers=f"location: {to}\r\n")


def test_a_redirect_is_an_answer_unless_it_is_to_be_followed(call, serve, loopback):
    server = serve(moved("http://169.254.169.254/"))
    assert call("GET", f"http://127.0.0.1:{server.port}/").status_code == 302


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://2852039166/",
        "http://intern.test/",
        "ftp://one.test/",
        "file:///etc/passwd",
        "http://u:p@one.test/",
    ],
)
def test_a_redirect_to_a_forbidden_place_is_refused(call, serve, names, loopback, target):
    names["intern.test"] = ["10.0.0.7"]
    names["one.test"] = ["127.0.0.1"]
    server = serve(moved(target))
    with pytest.raises(EgressRefused) as refused:
        call("POST", f"http://127.0.0.1:{server.port}/", follow_redirects=True)
    # The first hop did its work already.
    assert refused.value.sent is True


def test_a_redirect_out_of_the_allowed_hosts_is_refused(call, serve, names, loopback):
    other = serve(answer(b"other"))
    names.update({"one.test": ["127.0.0.1"], "two.test": ["127.0.0.1"]})
    server = serve(moved(f"http://two.test:{other.port}/"))
    with pytest.raises(EgressRefused, match=r"two\.test is not among"):
        call(
            "GET",
            f"http://one.test:{server.port}/",
            follow_redirects=True,
            allowed_hosts=["one.test"],
        )
    assert other.connections == 0


def test_another_origin_sees_no_credential(call, serve, names, loopback):
    other = serve(answer(b"other"))
    names.update({"one.test": ["127.0.0.1"], "two.test": ["127.0.0.1"]})
    server = serve(moved(f"http://two.test:{other.port}/", "307 Temporary Redirect"))
    secret = {
        "authorization": "Bearer hush",
        "x-api-key": "hush",
        "cookie": "a=hush",
        "x-anything": "hush",
        "accept": "text/plain",
    }
    found = call("GET", f"http://one.test:{server.port}/", headers=secret, follow_redirects=True)
    assert found.text == "other"
    assert b"hush" in server.requests[0]
    assert b"hush" not in other.requests[0]
    assert b"accept: text/plain" in other.requests[0].lower()


def test_another_port_of_the_same_host_is_another_origin(call, serve, loopback):
    other = serve(answer())
    server = serve(moved(f"http://127.0.0.1:{other.port}/"))
    call(
        "GET",
        f"http://127.0.0.1:{server.port}/",
        headers={"authorization": "hush"},
        follow_redirects=True,
    )
    assert b"hush" not in other.requests[0]


def test_the_same_origin_keeps_the_credential(call, serve, loopback):
    def handler(conn, head):
        conn.sendall(answer(b"there") if b"GET /b" in head else moved("/b"))

    server = serve(handler)
    call(
        "GET",
        f"http://127.0.0.1:{server.port}/a",
        headers={"x-api-key": "hush"},
        follow_redirects=True,
    )
    assert b"hush" in server.requests[1]


def test_an_endless_redirect_ends(call, serve, loopback):
    server = serve(moved("/again"))
    with pytest.raises(EgressRefused, match="more than 5 times"):
        call("GET", f"http://127.0.0.1:{server.port}/", follow_redirects=True)
    assert len(server.requests) == 6


def test_a_redirect_to_nonsense_is_an_unusable_answer(call, serve, loopback):
    server = serve(moved("http://[:::"))
    with pytest.raises((EgressUnreachable, EgressRefused)) as failed:
        call("GET", f"http://127.0.0.1:{server.port}/", follow_redirects=True)
    assert failed.value.sent is True


def test_cookies_are_not_kept_between_calls(call, serve, loopback):
    server = serve(answer(headers="set-cookie: session=hush; path=/\r\n"))
    url = f"http://127.0.0.1:{server.port}/"
    call("GET", url)
    call("GET", url)
    assert b"hush" not in server.requests[1]
