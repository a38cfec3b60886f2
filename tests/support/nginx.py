"""Run a real nginx with the configuration in infra/nginx.conf.example, on a free port."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.paths import PROJECT
from infra.ports import free_ports
from infra.secured.certificates import Authority
from tests.support.process import Process, installed, running

EXAMPLE = PROJECT / "infra" / "nginx.conf.example"

# nginx's default folders for temporary files belong to the system, so each gets a folder of the test.
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx:
    """Address of a running nginx, and the certificate that its clients trust."""

    def __init__(self, port: int, authority: Path) -> None:
        self.port = port
        self.authority = authority

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@contextmanager
def nginx(server_port: int, folder: Path) -> Iterator[Nginx]:
    """Yield an nginx in front of the server. Fail if nginx is not installed."""
    program = installed("nginx", "nginx-light")
    (port,) = free_ports(1)
    authority = Authority(folder / "certificates")
    made = authority.sign("nginx")
    own = "".join(f"    {each}_temp_path {folder}/{each};\n" for each in TEMPORARY)
    configuration = folder / "nginx.conf"
    text = EXAMPLE.read_text()
    for documented, ours in {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/nginx/prices.crt": str(made.certificate),
        "/etc/nginx/prices.key": str(made.key),
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{server_port};",
        "http {\n": f"http {{\n    access_log off;\n{own}",
    }.items():
        assert text.count(documented) == 1, documented
        text = text.replace(documented, ours)
    configuration.write_text(text)
    log = folder / "nginx.log"
    options = f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;"
    command = [program, "-e", "stderr", "-c", str(configuration), "-g", options]
    with running(Process(command, log)) as process:
        process.wait_for(lambda: _accepts(port))
        yield Nginx(port, authority.certificate)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
