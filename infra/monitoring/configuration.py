"""Build the configuration of Prometheus and Alertmanager from the settings. Pure.

The files prometheus.yml and alertmanager.yml in this folder are those of the default settings.
"""

from typing import Any

from core.settings import Settings
from exchanges import EXCHANGES
from infra.addresses import reachable_address

KEY_FILE = "server_key"
"""File with SERVER_API_KEY, beside the configuration."""

INTERVAL = "15s"
"""Time between two scrapes, and between two evaluations of the rules."""


def prometheus(settings: Settings) -> dict[str, Any]:
    """Return Prometheus' configuration. Its targets are the programs of a stack that export metrics."""
    host = settings.metrics_host
    server: dict[str, Any] = _scrape(
        "server", reachable_address(settings.server_host, settings.server_port)
    )
    if settings.server_api_key:
        server["authorization"] = {"credentials_file": KEY_FILE}
    extractors = (
        reachable_address(host, settings.exchanges[each.name].metrics_port) for each in EXCHANGES
    )
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
            _scrape("jobs", reachable_address(host, settings.live_prices_metrics_port)),
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
