"""Build the configuration of Prometheus and Alertmanager from the settings. Pure.

The files prometheus.yml and alertmanager.yml in this folder are those of the default settings.
"""

import ipaddress
from typing import Any

from core.settings import Settings
from exchanges import EXCHANGES

KEY_FILE = "server_key"
"""File with SERVER_API_KEY, beside the configuration."""

INTERVAL = "15s"
"""Time between two scrapes, and between two evaluations of the rules."""


def prometheus(settings: Settings) -> dict[str, Any]:
    """Return Prometheus' configuration. Its targets are the programs of a stack that export metrics."""
    host = settings.metrics_host
    server: dict[str, Any] = _scrape("server", _target(settings.server_host, settings.server_port))
    if settings.server_api_key:
        server["authorization"] = {"credentials_file": KEY_FILE}
    extractors = (_target(host, settings.exchanges[each.name].metrics_port) for each in EXCHANGES)
    return {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": ["alerts.yaml"],
        "alerting": {
            "alertmanagers": [
                {"static_configs": [{"targets": [f"127.0.0.1:{settings.alertmanager_port}"]}]}
            ]
        },
        "scrape_configs": [
            _scrape("extractors", *extractors),
            _scrape("jobs", _target(host, settings.live_prices_metrics_port)),
            server,
        ],
    }


def alertmanager(settings: Settings) -> dict[str, Any]:
    """Return Alertmanager's configuration: one receiver, which posts to the webhook if there is one."""
    receiver: dict[str, Any] = {"name": "webhook"}
    if settings.alert_webhook_url:
        receiver["webhook_configs"] = [{"url": settings.alert_webhook_url}]
    return {
        "route": {
            "receiver": "webhook",
            "group_by": ["alertname"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
        },
        "receivers": [receiver],
    }


def _scrape(job: str, *targets: str) -> dict[str, Any]:
    return {"job_name": job, "static_configs": [{"targets": list(targets)}]}


def _target(host: str, port: int) -> str:
    """Return the address at which a program that listens on `host` is reached from this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{host}:{port}"
    if address.is_unspecified:
        return f"127.0.0.1:{port}"
    return f"[{host}]:{port}" if address.version == 6 else f"{host}:{port}"
