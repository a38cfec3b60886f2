"""Check configuration and rules with promtool, and run the unit tests of the rules."""

from infra.monitoring.monitor import FOLDER
from tests.support.process import run


def test_promtool_accepts_the_configuration_and_its_rules(promtool: str) -> None:
    done = run([promtool, "check", "config", "--lint-fatal", FOLDER / "prometheus.yml"])
    assert "rules found" in done.stdout


def test_each_rule_fires_on_its_fault_and_is_silent_before(promtool: str) -> None:
    run([promtool, "test", "rules", FOLDER / "alerts_test.yaml"])
