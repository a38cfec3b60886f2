"""Test the configuration of Prometheus and Alertmanager for the default and for other settings."""

from typing import Any

import pytest
import yaml

from core.settings import Settings
from infra.monitoring import configuration
from infra.monitoring.monitor import FOLDER

KEY = "k" * 32


def targets(configured: dict[str, Any]) -> dict[str, list[str]]:
    return {
        each["job_name"]: each["static_configs"][0]["targets"]
        for each in configured["scrape_configs"]
    }


@pytest.mark.parametrize("build", [configuration.prometheus, configuration.alertmanager])
def test_files_in_the_repository_are_those_of_the_default_settings(build: Any) -> None:
    written = yaml.safe_load((FOLDER / f"{build.__name__}.yml").read_text())
    assert written == build(Settings())


def test_programs_that_listen_on_every_address_are_scraped_on_loopback() -> None:
    settings = Settings(
        server_host="0.0.0.0", server_port=8001, metrics_host="::", live_prices_metrics_port=1
    )
    found = targets(configuration.prometheus(settings))
    assert found["server"] == ["127.0.0.1:8001"]
    assert found["jobs"] == ["[::1]:1"]


@pytest.mark.parametrize(
    ("host", "target"), [("::1", "[::1]:8000"), ("prices.example.org", "prices.example.org:8000")]
)
def test_address_of_a_target_is_host_and_port(host: str, target: str) -> None:
    assert targets(configuration.prometheus(Settings(server_host=host)))["server"] == [target]


def test_key_of_the_server_is_read_from_a_file_and_not_part_of_the_configuration() -> None:
    configured = configuration.prometheus(Settings(server_api_key=KEY))
    assert configured["scrape_configs"][-1]["authorization"] == {"credentials_file": "server_key"}
    assert KEY not in str(configured)


def test_alerts_are_posted_to_the_webhook() -> None:
    url = "https://hooks.example.org/T0/x"
    [receiver] = configuration.alertmanager(Settings(alert_webhook_url=url))["receivers"]
    assert receiver == {"name": "webhook", "webhook_configs": [{"url": url}]}
