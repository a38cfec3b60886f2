"""Configure the project's boto3 clients of the object store."""

from typing import Required, TypedDict

from core.settings import Settings


class ClientArguments(TypedDict, total=False):
    """Keyword arguments of boto3.client."""

    endpoint_url: Required[str]
    aws_access_key_id: str
    aws_secret_access_key: str
    aws_session_token: str
    verify: str


def client_arguments(settings: Settings) -> ClientArguments:
    """Return the address, and the keys and the trusted certificate if they are set.

    Without keys boto3 finds credentials itself: profiles, web identities, the machine's role. It
    renews these before they expire, but never renews keys that are passed to it.
    """
    arguments = ClientArguments(endpoint_url=settings.s3_endpoint_url)
    if settings.aws_access_key_id:
        arguments["aws_access_key_id"] = settings.aws_access_key_id
        arguments["aws_secret_access_key"] = settings.aws_secret_access_key
    if settings.aws_session_token:
        arguments["aws_session_token"] = settings.aws_session_token
    if settings.s3_ca_bundle:
        arguments["verify"] = settings.s3_ca_bundle
    return arguments
