"""Certificates of an authority of our own, and TLS in front of servers that speak without."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.proxy import Proxy

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""How a Postgres client asks for TLS."""


class Authority:
    """Signs certificates; `file` is what those trust who trust it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key, timedelta(days=1))
        usage = x509.KeyUsage(*(False, False, False, False, False, True, True, False, False))
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server(self, *hosts: str, left: timedelta = timedelta(days=1)) -> ssl.SSLContext:
        """What a server with these names or addresses needs; its certificate has so much left."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        names = x509.SubjectAlternativeName(list(map(_alternative, hosts)))
        certificate = (
            self._builder(name, key, left)
            .add_extension(names, critical=False)
            .sign(self._key, SHA256())
        )
        file = self._folder / f"{key.private_numbers().private_value % 10**12}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, left: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + left)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
            )
        )


class TlsFront(Proxy):
    """Takes connections with TLS alone and passes on what they say; Postgres asks for it first."""

    def __init__(self, port: int, context: ssl.SSLContext, *, postgres: bool = False) -> None:
        super().__init__("127.0.0.1", port)
        self._context = context
        self._postgres = postgres

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Who does not trust us hangs up in the middle.
        with suppress(OSError, EOFError):
            if self._postgres:
                assert await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST
                writer.write(b"S")
                await writer.drain()
            await writer.start_tls(self._context)
            await super()._accept(reader, writer)
        writer.transport.abort()


@asynccontextmanager
async def tls_front(
    port: int, context: ssl.SSLContext, *, postgres: bool = False
) -> AsyncIterator[TlsFront]:
    """TLS in front of a server on this machine."""
    front = TlsFront(port, context, postgres=postgres)
    await front.open()
    try:
        yield front
    finally:
        await front.close()


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
