"""Keep requests to this machine away from proxies, in every HTTP client that reads the environment."""

from collections.abc import MutableMapping

LOOPBACK = ("127.0.0.1", "localhost", "::1")
NAMES = ("no_proxy", "NO_PROXY")
"""Some libraries prefer one spelling, some the other."""


def exempt_loopback(environment: MutableMapping[str, str]) -> None:
    """Add the loopback addresses to the hosts that are reached without HTTP_PROXY and HTTPS_PROXY.

    Programs call it first, with os.environ: boto3, requests and delta-rs have no other common setting.
    """
    listed = next((found for name in NAMES if (found := environment.get(name))), "")
    if listed == "*":
        return
    hosts = [each.strip() for each in listed.split(",") if each.strip()]
    hosts += [each for each in LOOPBACK if each not in hosts]
    for name in NAMES:
        environment[name] = ",".join(hosts)
