"""Start Prometheus and Alertmanager beside a running stack, as programs of its supervisor."""

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import requests
import yaml

from infra import ports, supervision
from infra.monitoring import configuration
from infra.stack import Stack, StackError
from infra.waiting import wait_until

FOLDER = Path(__file__).parent
RULES = FOLDER / "alerts.yaml"
PROGRAMS = ("alertmanager", "prometheus")
READY_DEADLINE = 60.0

INSTALL = (
    "On Debian and Ubuntu: apt-get install --no-install-recommends prometheus prometheus-alertmanager, "
    "then systemctl disable --now prometheus prometheus-alertmanager, whose ports are also those of the stack"
)


def monitor(stack: Stack) -> None:
    """Write the configuration, and start or restart both programs. Return when they are ready.

    Raise StackError that names missing programs or busy ports.
    """
    refuse_missing()
    if not running(stack):
        try:
            ports.refuse_busy(ports.of_monitoring(stack.settings))
        except ports.PortError as error:
            # The supervisor has the ports that were set when it started.
            raise StackError(f"{error}. Another port needs make down and a new start") from error
    settings = stack.settings
    write(
        stack,
        RULES.read_text(),
        configuration.prometheus(settings),
        configuration.alertmanager(settings),
    )
    restart(stack)


def refuse_missing() -> None:
    """Raise StackError if a program is not installed. The message names it and the packages."""
    if missing := [*_missing()]:
        raise StackError(f"missing: {' and '.join(missing)}. {INSTALL}")


def _missing() -> Iterator[str]:
    if not shutil.which("prometheus"):
        yield "prometheus"
    if not (shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")):
        yield "alertmanager"


def running(stack: Stack) -> bool:
    """Return whether the supervisor runs one of the programs, which then holds its port."""
    states = {each["name"]: each["statename"] for each in supervision.programs(stack)}
    return any(states[name] in ("STARTING", "RUNNING") for name in PROGRAMS)


def write(
    stack: Stack, rules: str, prometheus: Mapping[str, Any], alertmanager: Mapping[str, Any]
) -> None:
    """Write what both programs read. Only the owner may read it: it contains key and webhook."""
    folder = stack.folder / "monitoring"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / configuration.KEY_FILE).write_text(stack.settings.server_api_key)
    (folder / RULES.name).write_text(rules)
    (folder / "prometheus.yml").write_text(as_yaml(prometheus))
    (folder / "alertmanager.yml").write_text(as_yaml(alertmanager))


def restart(stack: Stack) -> None:
    """Start both programs with what was written. Return when they are ready."""
    supervision.stop_programs(stack, PROGRAMS)
    supervision.start_programs(stack, PROGRAMS)
    for name, url in zip(PROGRAMS, (alertmanager_url(stack), prometheus_url(stack)), strict=True):
        if not wait_until(partial(_is_ready, url), deadline=READY_DEADLINE):
            raise StackError(
                f"{name} is not ready after {READY_DEADLINE:.0f} s; its log: "
                f"{stack.log_folder / name}.log"
            )


def prometheus_url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.settings.prometheus_port}"


def alertmanager_url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.settings.alertmanager_port}"


def as_yaml(configuration: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(configuration), sort_keys=False)
    return text


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.RequestException:
        return False
