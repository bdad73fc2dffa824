"""A PostgreSQL that speaks TLS, and the certificates it takes; the embedded one has none."""

import asyncio
import datetime as dt
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.processes import free_port

RULES = """
local     all all               trust
hostssl   all encrypted all     trust
hostnossl all plain all         trust
host      all with_password all scram-sha-256
host      all anybody all       trust
"""
SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
ISSUED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
EXPIRY = dt.datetime(2126, 1, 1, tzinfo=dt.UTC)


def binaries() -> Path | None:
    """Where PostgreSQL's programs are, if the system has them: on PATH, or in Debian's folder of the newest version."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


class Authority:
    """Signs certificates that pass Python 3.13's strict reading of RFC 5280."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(SIGNS_CERTIFICATES, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, *names: x509.GeneralName) -> tuple[bytes, bytes]:
        """Return a certificate for the names, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "database")])
        certificate = (
            self._builder(subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(ISSUED)
            .not_valid_after(EXPIRY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


class TlsServer:
    """Listens on the loopback; its certificate is for the name localhost, not for the address."""

    def __init__(self, folder: Path, programs: Path, owner: str | None) -> None:
        self.folder = folder
        self.port = free_port()
        self.authority = folder / "authority.pem"
        self.stranger = folder / "stranger.pem"
        self._programs = programs
        self._owner = owner
        authority = Authority("Authority of the tests")
        certificate, key = authority.issue(x509.DNSName("localhost"))
        self.authority.write_bytes(authority.pem)
        self.stranger.write_bytes(Authority("Stranger").pem)
        (folder / "certificate.pem").write_bytes(certificate)
        (folder / "key.pem").write_bytes(key)
        (folder / "key.pem").chmod(0o600)
        for path in (folder, *folder.iterdir()):
            if owner:
                shutil.chown(path, owner)

    def start(self, configuration: str = "") -> None:
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-U", "postgres", "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync")
        (data / "pg_hba.conf").write_text(RULES)
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {self.port}\nunix_socket_directories = '{self.folder}'\nlisten_addresses = '127.0.0.1,::1'\n"
                f"ssl = on\nssl_cert_file = '{self.folder}/certificate.pem'\nssl_key_file = '{self.folder}/key.pem'\n"
                f"fsync = off\n{configuration}"
            )
        self._run("pg_ctl", "start", "-w", "-D", data, "-l", self.folder / "log")

    def restart(self, **configuration: str) -> None:
        """Start again with other settings."""
        options = " ".join(f"-c {name}={value}" for name, value in configuration.items())
        data = self.folder / "data"
        self._run("pg_ctl", "restart", "-w", "-m", "fast", "-D", data, "-l", self.folder / "log", "-o", options)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self.folder / "data")

    async def execute(self, statement: str) -> object:
        """Run it in a session of its own, and return the first value of its answer."""
        connection = await asyncpg.connect(
            host=str(self.folder), port=self.port, user="postgres", database="postgres", ssl=False
        )
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def switch_tls(self, state: str) -> None:
        """Apply on or off to connections that are made from now on."""
        await self.execute(f"ALTER SYSTEM SET ssl = {state}")
        await self.execute("SELECT pg_reload_conf()")
        while (await self.execute("SHOW ssl")) != state:
            await asyncio.sleep(0.01)

    def _run(self, program: str, *arguments: str | Path) -> None:
        with subprocess.Popen(
            [self._programs / program, *arguments],
            user=self._owner,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            pass
        assert process.returncode == 0, program


@contextmanager
def tls_server(programs: Path, configuration: str = "") -> Iterator[TlsServer]:
    folder = Path(tempfile.mkdtemp(prefix="tls"))
    owner = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    server = TlsServer(folder, programs, owner)
    try:
        server.start(configuration)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
