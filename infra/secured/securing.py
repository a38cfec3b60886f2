"""Secure a stack in two steps: certificates and files before its services start, users after that."""

import os
import shutil

from confluent_kafka.admin import AdminClient

from core.kafka_client import client_configuration
from infra.secured import kafka_users, logins, object_store_users
from infra.secured.certificates import Authority
from infra.secured.private_file import write_private
from infra.secured.rights import KAFKA_RIGHTS
from infra.stack import Stack


def prepare(stack: Stack) -> None:
    """Create new certificates for the services, and the files with which Kafka's clients log in."""
    folder = stack.folder
    authority = Authority(folder / "certificates")
    for service in ("kafka", "minio", "postgres"):
        made = authority.sign(service)
        if service == "minio":
            # The names that MinIO expects.
            own = folder / "certificates" / "minio"
            own.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(made.certificate, own / "public.crt")
            os.replace(made.key, own / "private.key")
    authority.truststore()
    authority.forget_key()
    for user in (logins.ADMINISTRATOR, *logins.USERS.values()):
        write_private(
            logins.kafka_client_properties(folder, user),
            kafka_users.client_properties(
                kafka_users.MECHANISM,
                user,
                logins.password(folder, f"kafka-{user}"),
                logins.authority(folder),
            ),
        )


def set_users(stack: Stack) -> None:
    """Create the users of Kafka and MinIO with their rights. Idempotent."""
    users = logins.USERS.values()
    admin = AdminClient({**client_configuration(stack.settings)})
    for user in users:
        kafka_users.set_password(admin, user, logins.password(stack.folder, f"kafka-{user}"))
        kafka_users.set_rights(admin, user, KAFKA_RIGHTS[user])
    object_store_users.set_users(
        stack.settings, {user: logins.password(stack.folder, f"s3-{user}") for user in users}
    )
