"""Create Kafka's users, the files with which clients log in, and the users' rights."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from core.kafka_login import MODULES
from infra.secured.rights import Right

MECHANISM = "SCRAM-SHA-512"
ITERATIONS = 4096
TIMEOUT = 30.0

Rule = tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]
"""Arguments of AclBinding and AclBindingFilter."""


def jaas_config(mechanism: str, user: str, password: str) -> str:
    """Return the value of sasl.jaas.config in a properties file, which needs two levels of escaping."""
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    login = f'{MODULES[mechanism]} required username="{user}" password="{quoted}";'
    return login.replace("\\", "\\\\")


def client_properties(mechanism: str, user: str, password: str, authority: Path) -> str:
    """Return the text of a file for KAFKA_CLIENT_PROPERTIES: TLS and a login."""
    return properties_text(
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "sasl.jaas.config": jaas_config(mechanism, user, password),
        }
        | trust(authority)
    )


def trust(authority: Path) -> dict[str, str]:
    """Return the properties of a client that trusts only this authority."""
    return {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(authority)}


def properties_text(properties: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def set_password(
    admin: AdminClient,
    user: str,
    password: str,
    mechanism: ScramMechanism = ScramMechanism.SCRAM_SHA_512,
) -> None:
    """Create a user, or change its password."""
    credential = ScramCredentialInfo(mechanism, ITERATIONS)
    login = UserScramCredentialUpsertion(user, credential, password.encode())
    admin.alter_user_scram_credentials([login])[user].result(timeout=TIMEOUT)


def set_rights(admin: AdminClient, user: str, rights: Iterable[Right]) -> None:
    """Grant a user these rights and revoke all others. Rights it has already are left untouched."""
    principal = f"User:{user}"
    expected = {AclBinding(*rule(right, principal)) for right in rights}
    present = set(
        admin.describe_acls(
            AclBindingFilter(
                ResourceType.ANY,
                None,  # type: ignore[arg-type]  # any name
                ResourcePatternType.ANY,
                principal,
                None,  # type: ignore[arg-type]  # any host
                AclOperation.ANY,
                AclPermissionType.ANY,
            )
        ).result(timeout=TIMEOUT)
    )
    if missing := [*(expected - present)]:
        for created in admin.create_acls(missing).values():
            created.result(timeout=TIMEOUT)
    if obsolete := [_filter_of(each) for each in present - expected]:
        for deleted in admin.delete_acls(obsolete).values():
            deleted.result(timeout=TIMEOUT)


def rule(right: Right, principal: str) -> Rule:
    """Return the arguments of AclBinding for a right, from any host."""
    return (
        right.kind,
        right.name,
        ResourcePatternType.LITERAL,
        principal,
        "*",
        AclOperation[right.operation.upper()],
        AclPermissionType.ALLOW,
    )


def _filter_of(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
