"""Query Prometheus, receive Alertmanager's alerts at a webhook, and shorten the times until they are sent."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests
import yaml

from infra.monitoring.monitor import RULES, prometheus_url
from infra.ports import free_ports
from infra.stack import Stack
from tests.support.sockets import serving

Alert = dict[str, Any]


class Webhook:
    """A receiver, and the alerts that were posted to it, oldest first."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.posted: list[Alert] = []

    def alerts(self, name: str, status: str = "firing", **labels: str) -> list[Alert]:
        wanted = {"alertname": name, **labels}.items()
        return [
            alert
            for alert in list(self.posted)
            if alert["status"] == status and wanted <= alert["labels"].items()
        ]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run a receiver on a free port of loopback."""
    [port] = free_ports(1)
    receiver = Webhook(f"http://127.0.0.1:{port}/alerts?token=tr0ub4dor")

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posted.extend(json.loads(body)["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", port), Answer)):
        yield receiver


def query(stack: Stack, expression: str) -> list[dict[str, Any]]:
    """Return the series that the expression has now, with labels and value as Prometheus writes them."""
    answer = requests.get(
        f"{prometheus_url(stack)}/api/v1/query", params={"query": expression}, timeout=30
    )
    assert answer.ok, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def rules() -> dict[str, dict[str, Any]]:
    """Return the rules of alerts.yaml by the alert's name."""
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def quick_rules(limits: Mapping[str, tuple[str, str]]) -> str:
    """Return alerts.yaml with each `for` shortened to 1 s, and with other limits for some alerts.

    `limits` maps an alert's name to its limit as written in the file, and the limit that replaces it.
    """
    assert limits.keys() <= rules().keys()
    document = yaml.safe_load(RULES.read_text())
    for rule in document["groups"][0]["rules"]:
        if "for" in rule:
            rule["for"] = "1s"
        if rule["alert"] in limits:
            written, quick = limits[rule["alert"]]
            rule["expr"], count = re.subn(rf"> {written}\b", f"> {quick}", rule["expr"])
            assert count == 1, rule
    text: str = yaml.safe_dump(document)
    return text
