"""Create a program's registry of metrics, with what every program exports."""

import platform
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Info, ProcessCollector


def new_registry(program: str) -> CollectorRegistry:
    """Return a registry with `process_…` and `<program>_build_info`: the versions of project and Python."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    build = Info(
        f"{program}_build", "Running versions of the project and of Python", registry=registry
    )
    build.info({"version": version("cryptopricesrt"), "python": platform.python_version()})
    return registry
