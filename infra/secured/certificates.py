"""Create certificates with openssl, signed by an authority whose key is deleted afterwards.

Certificates are valid for this machine only: 127.0.0.1, ::1 and localhost.
"""

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra import paths

STORE_PASSWORD = "changeit"
"""Password of PKCS12 files, which need one. It protects nothing: files with a key are in a private folder."""

PACKAGE = {"openssl": "openssl", "keytool": "openjdk-17-jre-headless"}
"""Debian's package of each program."""

DAYS = 365
"""Validity. A secured stack creates new certificates at each start."""

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
subjectAltName = IP:127.0.0.1,IP:::1,DNS:localhost
"""


class CertificateError(RuntimeError):
    """Raised if openssl or keytool is missing or fails. The message has its output or the remedy."""


@dataclass(frozen=True)
class Certificate:
    """Files with a private key and its certificate."""

    certificate: Path
    key: Path
    both: Path
    """Key and certificate in one PEM file, as Kafka's broker and Java clients read them."""
    store: Path
    """PKCS12, with STORE_PASSWORD."""


class Authority:
    """Signs certificates, all in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._made = self._make("authority", "-extensions", "authority")

    @property
    def certificate(self) -> Path:
        """PEM file for clients that trust the authority."""
        return self._made.certificate

    def sign(self, name: str) -> Certificate:
        signer = ("-CA", str(self._made.certificate), "-CAkey", str(self._made.key))
        return self._make(name, "-extensions", "subject", *signer)

    def truststore(self) -> Path:
        """Create a PKCS12 file with the authority's certificate, for Java."""
        store = self._folder / "authority.truststore"
        store.unlink(missing_ok=True)
        options = ["-importcert", "-noprompt", "-alias", "authority", "-storetype", "PKCS12"]
        options += ["-file", str(self.certificate), "-keystore", str(store)]
        _run(paths.java("keytool"), *options, "-storepass", STORE_PASSWORD)
        return store

    def forget_key(self) -> None:
        """Delete the authority's key, so that nothing else can be signed with it."""
        for path in (self._made.key, self._made.both, self._made.store):
            path.unlink()

    def _make(self, name: str, *options: str) -> Certificate:
        made = Certificate(
            *(self._folder / f"{name}{suffix}" for suffix in (".crt", ".key", ".pem", ".p12"))
        )
        configuration = self._folder / f"{name}.cnf"
        configuration.write_text(CONFIGURATION.format(name=name))
        keys = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {DAYS}"
        files = ["-keyout", str(made.key), "-out", str(made.certificate)]
        _run("openssl", *keys.split(), "-config", str(configuration), *files, *options)
        configuration.unlink()
        made.both.touch(mode=0o600)
        made.both.write_text(made.key.read_text() + made.certificate.read_text())
        export = ["-passout", f"pass:{STORE_PASSWORD}", "-in", str(made.both)]
        _run("openssl", "pkcs12", "-export", *export, "-out", str(made.store))
        return made


def java_options(truststore: Path) -> str:
    """Return the options with which a JVM trusts the file's certificates and no others."""
    return shlex.join(
        [
            f"-Djavax.net.ssl.trustStore={truststore}",
            "-Djavax.net.ssl.trustStoreType=PKCS12",
            f"-Djavax.net.ssl.trustStorePassword={STORE_PASSWORD}",
        ]
    )


def _run(program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise CertificateError(
            f"{program} is not installed. On Debian: apt-get install {PACKAGE[Path(program).name]}"
        )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CertificateError(f"{program} failed: {done.stderr or done.stdout}")
