"""Test that each alert has advice, a section of the document and unit tests, and each panel its texts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.monitoring.monitor import FOLDER
from infra.paths import PROJECT
from tests.support.alerts import rules

RULES = rules()
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
# Without one, pytest would skip the test of their panels.
assert DASHBOARDS


@pytest.mark.parametrize("name", RULES)
def test_each_alert_has_a_severity_advice_and_a_section(name: str) -> None:
    rule = RULES[name]
    annotations = rule["annotations"]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert annotations["summary"].endswith(".")
    assert annotations["action"].endswith(".")
    document, _, anchor = annotations["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (PROJECT / document).read_text(), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]


def test_each_alert_is_expected_to_fire_and_to_be_silent() -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    expected: dict[str, set[bool]] = {name: set() for name in RULES}
    for case in (each for test in tests for each in test["promql_expr_test"]):
        [name] = re.findall(r'alertname="(\w+)"', case["expr"])
        expected[name].add(bool(case["exp_samples"]))
    assert expected == {name: {True, False} for name in RULES}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_each_panel_has_title_description_unit_and_expressions(path: Path) -> None:
    panels: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["title"] and panel["description"].endswith("."), panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert all(target["expr"] for target in panel["targets"]) and panel["targets"]
