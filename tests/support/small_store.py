"""Run an object store that records every put and answers it as a test has configured."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from core.settings import Settings
from tests.support.sockets import serving


@dataclass(frozen=True)
class Put:
    path: str
    headers: dict[str, str]
    body: bytes


class Store:
    """Accepts every put, or answers with `status` and the error `code`."""

    def __init__(self, url: str) -> None:
        self.settings = Settings(
            s3_endpoint_url=url,
            s3_bucket="cryptopricesrt",
            aws_access_key_id="admin",
            aws_secret_access_key="password123",
        )
        self.puts: list[Put] = []
        self.objects: set[str] = set()
        """Paths of the accepted objects."""
        self.status = 200
        self.code = ""
        self.has_conditional_writes = True
        self.during_put: Callable[[], object] = lambda: None

    def answer(self, put: Put) -> tuple[int, str]:
        """Return the status and the error code, empty if there is no error."""
        if "if-none-match" in put.headers and not self.has_conditional_writes:
            return 501, "NotImplemented"
        if self.status == 200:
            self.objects.add(put.path)
        return self.status, self.code


@contextmanager
def small_store() -> Iterator[Store]:
    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            put = Put(self.path, headers, body)
            store.during_put()
            store.puts.append(put)
            status, code = store.answer(put)
            self.answer(status, f"<Error><Code>{code}</Code></Error>".encode() if code else b"")

        def do_GET(self) -> None:
            """Answer with an empty list of objects: the only GET is a list request."""
            self.answer(200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")

        def do_HEAD(self) -> None:
            self.answer(200 if self.path in store.objects else 404, b"")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    store = Store(f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield store
