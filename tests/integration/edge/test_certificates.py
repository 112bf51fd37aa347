"""A server must prove its name before it is told anything."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.fetch import Failed, GuardedClient
from tests.networks import Internet, Names

PUBLIC = "93.184.216.34"


def write_certificate(folder: Path, name: str) -> Path:
    """Write a certificate that nobody vouches for, and its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "server.pem"
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A TLS server, with what it was told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_certificate(tmp_path, "files.example"))
    told: list[bytes] = []

    def listen() -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    told.append(secure.recv(1000))
            except ssl.SSLError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=listen)
        thread.start()
        yield listening.getsockname()[1], told
        thread.join()


def test_a_server_with_a_certificate_of_its_own_making_is_told_nothing(
    server: tuple[int, list[bytes]],
) -> None:
    port, told = server
    internet, names = Internet({PUBLIC: port}), Names(files=[[PUBLIC]])
    client = GuardedClient(resolver=names, dial=internet)
    with pytest.raises(Failed):
        client.send("POST", "https://files.example/hook", headers={"Authorization": "secret"})
    assert internet.dialled == [PUBLIC]
    assert b"".join(told) == b""
