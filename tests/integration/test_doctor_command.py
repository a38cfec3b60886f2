"""Run make doctor's command where nothing runs: each service is named, and no password is shown."""

import socket
import sys
from dataclasses import replace

from infra.stack import stack_on_free_ports
from tests.support.process import run


def test_command_where_nothing_runs_names_the_services_and_the_port_that_another_program_holds() -> (
    None
):
    settings = stack_on_free_ports("tests/doctor-down").settings
    settings = replace(
        settings, database_url=settings.database_url.replace("password123", "tr0ub4dor")
    )
    with socket.create_server(("127.0.0.1", settings.server_port)):
        command = [sys.executable, "-m", "infra.doctor"]
        done = run(
            command, settings.environment() | {"AWS_SECRET_ACCESS_KEY": "tr0ub4dor"}, status=1
        )

    out = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert out[0] == "no stack is up; examined: the services that the settings name"
    assert f"wrong Kafka Kafka at {settings.kafka_bootstrap_servers} is unavailable" in out
    assert "- topics not checked: see Kafka" in out
    assert "- migrations not checked: see Postgres" in out
    assert "- lifecycle rules not checked: see object store" in out
    assert any("port" in line and "of the server is taken by" in line for line in out)
    assert out[-1].startswith("findings: ")
    assert "tr0ub4dor" not in done.stdout + done.stderr


def test_command_refuses_a_setting_by_name() -> None:
    done = run(
        [sys.executable, "-m", "infra.doctor"], {"RAW_RETENTION_DAYS": "100000000000"}, status=1
    )
    assert done.stderr == (
        "RAW_RETENTION_DAYS='100000000000': expected a whole number from 1 to 3650\n"
    )
