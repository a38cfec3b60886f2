"""Test which logins each program of a secured stack gets."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from core.settings import EXCHANGE, EXTRACTORS, JOBS, SERVER, STACK, Program, Settings
from infra.secured.logins import authority, kafka_client_properties, password
from infra.stack import Stack, stack_of

SECRETS = {
    EXTRACTORS: {"s3-extractors"},
    JOBS: {"s3-jobs", "postgres-crypto"},
    SERVER: {"postgres-reader", "server-api-key"},
    EXCHANGE: set(),
}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setattr("infra.paths.others_can_enter", lambda _folder: True)
    return stack_of("demo", Settings(stack_dir=str(tmp_path)), secured=True)


@pytest.mark.parametrize("program", SECRETS, ids=lambda each: each.name)
def test_programs_environment_has_no_password_of_another(stack: Stack, program: Program) -> None:
    text = str(stack.settings_of(program).environment(program))
    secrets = {each.name: each.read_text() for each in (stack.folder / "secrets").iterdir()}
    assert {name for name, secret in secrets.items() if secret in text} == SECRETS[program]


@pytest.mark.parametrize("program", [EXTRACTORS, JOBS], ids=lambda each: each.name)
def test_kafka_login_is_in_a_file_of_the_programs_user(stack: Stack, program: Program) -> None:
    user = program.name.lower()
    found = stack.settings_of(program).environment(program)["KAFKA_CLIENT_PROPERTIES"]
    assert found == str(kafka_client_properties(stack.folder, user))


def test_addresses_and_names_are_those_of_the_settings_and_passwords_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.paths.others_can_enter", lambda _folder: True)
    plain = Settings(
        stack_dir=str(tmp_path),
        database_url="postgresql://me:old@localhost:5433/prices",
        s3_endpoint_url="http://localhost:9900",
    )
    found = stack_of("live", plain, secured=True)
    url = urlsplit(found.settings.database_url)
    assert (url.username, url.hostname, url.port, url.path) == ("me", "localhost", 5433, "/prices")
    assert url.password == password(found.folder, "postgres-me")
    certificate = str(authority(found.folder))
    assert parse_qs(url.query) == {"sslmode": ["verify-full"], "sslrootcert": [certificate]}
    assert found.settings.s3_endpoint_url == "https://localhost:9900"
    assert found.folder == tmp_path / "live-secured"


def test_stack_is_the_same_after_its_settings_went_through_the_environment(stack: Stack) -> None:
    # from_environment() reads this file, which is written only when the stack starts.
    environment = stack.settings.environment() | {"KAFKA_CLIENT_PROPERTIES": ""}
    again = Settings.from_environment(STACK, environment)
    assert stack_of("demo", again, secured=True) == stack


def test_own_key_of_the_server_is_kept(stack: Stack) -> None:
    own = replace(stack.settings, server_api_key="k" * 32)
    assert stack_of("demo", own, secured=True).settings.server_api_key == "k" * 32
