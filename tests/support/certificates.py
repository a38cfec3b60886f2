"""Create certificates with openssl, signed by an authority that exists only for a test."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

STORE_PASSWORD = "pk-password"

CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical,CA:TRUE
[subject]
basicConstraints = critical,CA:FALSE
subjectAltName = IP:127.0.0.1
"""


@dataclass(frozen=True)
class Certificate:
    """Files with a private key and its certificate."""

    certificate: Path
    key: Path
    both: Path
    """Key and certificate in one PEM file, as Java's clients read them."""
    store: Path
    """PKCS12, with STORE_PASSWORD."""


class Authority:
    """Signs certificates. They are valid for 127.0.0.1 and for two days."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._made = self._make("authority", "-extensions", "authority")

    @property
    def certificate(self) -> Path:
        """PEM file for clients that trust the authority."""
        return self._made.certificate

    def sign(self, name: str) -> Certificate:
        signer = ("-CA", str(self._made.certificate), "-CAkey", str(self._made.key))
        return self._make(name, "-extensions", "subject", *signer)

    def _make(self, name: str, *options: str) -> Certificate:
        made = Certificate(
            *(self._folder / f"{name}{suffix}" for suffix in (".crt", ".key", ".pem", ".p12"))
        )
        configuration = self._folder / f"{name}.cnf"
        configuration.write_text(CONFIGURATION.format(name=name))
        keys = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
        files = ["-keyout", str(made.key), "-out", str(made.certificate)]
        _openssl(*keys, "-config", str(configuration), *files, *options)
        made.both.write_text(made.key.read_text() + made.certificate.read_text())
        export = ["-passout", f"pass:{STORE_PASSWORD}", "-in", str(made.both)]
        _openssl("pkcs12", "-export", *export, "-out", str(made.store))
        return made


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
