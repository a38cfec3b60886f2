"""Start monitoring beside a demo, as make monitor does, and run every expression of rules and panels."""

import json
import re
import sys

import pytest
import requests

from infra.monitoring.monitor import FOLDER, alertmanager_url, prometheus_url
from infra.ports import free_ports
from infra.stack import Stack
from tests.support.alerts import query, rules
from tests.support.process import run
from tests.support.waiting import wait_for

SCRAPED = 180.0
"""Seconds for some scrapes, which are 15 s apart, and for the first batches of all queries."""

COMPARISON = re.compile(r" (==|<|>) ")


def expressions() -> dict[str, str]:
    """Return each rule's and each panel's expressions by a name.

    With bool, a comparison returns 0 or 1 for each series, instead of only the series for which it holds.
    """
    found = {name: COMPARISON.sub(r" \1 bool ", rule["expr"]) for name, rule in rules().items()}
    for path in (FOLDER / "grafana" / "dashboards").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


@pytest.fixture(scope="module")
def monitored(demo: Stack) -> Stack:
    run([sys.executable, "-m", "infra", "monitor"], demo.environment())
    return demo


def test_every_program_of_the_stack_is_scraped(monitored: Stack) -> None:
    def up() -> list[tuple[str, str]]:
        return sorted((each["metric"]["job"], each["value"][1]) for each in query(monitored, "up"))

    expected = [("extractors", "1"), ("extractors", "1"), ("jobs", "1"), ("server", "1")]
    wait_for(up, lambda found: found == expected, deadline=SCRAPED)


@pytest.mark.parametrize("name", expressions())
def test_every_expression_has_data(monitored: Stack, name: str) -> None:
    wait_for(lambda: query(monitored, expressions()[name]), deadline=SCRAPED, pause=1)


def test_every_rule_is_evaluated_without_an_error(monitored: Stack) -> None:
    def health() -> dict[str, str]:
        answer = requests.get(f"{prometheus_url(monitored)}/api/v1/rules", timeout=30).json()
        [group] = answer["data"]["groups"]
        return {rule["name"]: rule["health"] for rule in group["rules"]}

    wait_for(health, lambda found: found == dict.fromkeys(rules(), "ok"), deadline=SCRAPED)


def test_new_webhook_is_used_after_a_restart_and_its_token_is_not_logged(monitored: Stack) -> None:
    [closed] = free_ports(1)
    webhook = {"ALERT_WEBHOOK_URL": f"http://127.0.0.1:{closed}/?token=tr0ub4dor"}
    done = run([sys.executable, "-m", "infra", "monitor"], monitored.environment() | webhook)
    assert alertmanager_url(monitored) in done.stdout
    alerts = f"{alertmanager_url(monitored)}/api/v2/alerts"
    assert requests.post(alerts, json=[{"labels": {"alertname": "Test"}}], timeout=30).ok
    log = wait_for(
        (monitored.log_folder / "alertmanager.log").read_text,
        lambda text: f":{closed}: connect: connection refused" in text,
    )
    assert "tr0ub4dor" not in log
