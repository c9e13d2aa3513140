"""TLS: the certificate must be that of the name asked for, although an address is connected to."""

import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.kit.egress import EgressUnreachable, policy
from controlplane.kit.egress.tests.conftest import answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for good.test: the path of its PEM file with the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "good.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "good.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(path)


@pytest.fixture
def secure(serve, certificate, names, loopback):
    """A TLS server that both good.test and other.test lead to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = serve(answer(b"safe"))
    plain_serve = server._serve
    server._serve = lambda conn: plain_serve(context.wrap_socket(conn, server_side=True))
    names.update({"good.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]})
    return server


@pytest.fixture
def trusted(certificate, monkeypatch):
    """The certificate is among those the machine trusts."""
    context = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(policy, "_context", [context])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_certificate_is_checked_against_the_name(call, secure, trusted):
    assert call("GET", f"https://good.test:{secure.port}/").text == "safe"
    with pytest.raises(EgressUnreachable, match=r"certificate is not valid.*other\.test") as bad:
        call("GET", f"https://other.test:{secure.port}/")
    assert (bad.value.sent, bad.value.retryable) == (False, False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unknown_signer_is_not_trusted(call, secure):
    with pytest.raises(EgressUnreachable, match="certificate is not valid"):
        call("GET", f"https://good.test:{secure.port}/")
