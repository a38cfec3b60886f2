"""Write docs/benchmarks.md from benchmarks/template.md and each benchmark's latest run on this machine.

    make benchmark-document

What was not measured on this machine stays as it is in the document, unless its section's text changed.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.growth import PLOT
from benchmarks.harness.report import Report, Rows, published
from infra import paths

DOCS = paths.PROJECT / "docs"
LIBRARIES = (
    "pyspark",
    "deltalake",
    "polars",
    "pyarrow",
    "confluent-kafka",
    "orjson",
    "psycopg2-binary",
)

TEMPLATE = paths.PROJECT / "benchmarks" / "template.md"
PLACE = re.compile(r"^\{(\w+)\}$", re.MULTILINE)
"""Placeholder of the machine's description or of a benchmark's tables."""

MACHINE = "(.+?)"
ANSWER = "((?:`|Not measured).+?)"
"""Patterns of the text that replaces a placeholder. An answer begins with its command, so two in a row are
separated."""

SECTION = re.compile(r"^(?=## )", re.MULTILINE)


def document(template: str, former: str) -> str:
    """Return the template with the newest results. Those not measured here come from `former`."""
    kept = answers_in(former, template)

    def filled(placeholder: re.Match[str]) -> str:
        name = placeholder[1]
        if name == "machine":
            return machine()
        report = published(name)
        return kept.get(name, "Not measured.") if report is None else "\n\n".join(answer(report))

    return PLACE.sub(filled, template)


def answers_in(former: str, template: str) -> dict[str, str]:
    """Return what a document has for each placeholder of a section whose text is the same."""
    answers: dict[str, str] = {}
    for section in SECTION.split(template):
        texts, names = PLACE.split(section.rstrip())[::2], PLACE.findall(section)
        answers_between = zip(map(re.escape, texts[1:]), names, strict=True)
        pattern = re.escape(texts[0]) + "".join(
            f"{MACHINE if name == 'machine' else ANSWER}{text}" for text, name in answers_between
        )
        if names and (found := re.search(pattern + r"\s*(?=\n## |\Z)", former, re.DOTALL)):
            answers |= zip(names, found.groups(), strict=True)
    return answers


def answer(report: Report) -> Iterator[str]:
    yield f"`{report.command}`, {report.day}: {report.conditions}."
    yield from map(markdown, report.tables)
    yield from report.notes


def markdown(rows: Rows) -> str:
    head = list(rows[0])
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return markdown(
        [
            {"machine": "cores", "": f"{os.cpu_count()}, {processor()}"},
            {"machine": "memory", "": f"{memory:.0f} GB"},
            {"machine": "Python", "": platform.python_version()},
            {"machine": "Java", "": java()},
            {"machine": "Kafka", "": kafka()},
            {"machine": "Postgres", "": postgres()},
            *({"machine": name, "": version(name)} for name in LIBRARIES),
            {"machine": "quixstreams", "": quix()},
        ]
    )


def processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def java() -> str:
    said = subprocess.run(
        [paths.java(), "-version"], check=True, capture_output=True, text=True
    ).stderr
    found = re.search(r'version "(.*?)"', said)
    return found[1] if found else said


def kafka() -> str:
    (jar,) = paths.KAFKA_JARS.glob("kafka_2.13-*.jar")
    return jar.stem.rpartition("-")[2]


def postgres() -> str:
    program = paths.site_packages() / paths.POSTGRES_BIN / "postgres"
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return said.split()[-1]


def quix() -> str:
    lock = paths.PROJECT / "benchmarks" / "rivals" / "requirements.lock"
    found = re.search(r"^quixstreams==(\S+)", lock.read_text(), re.MULTILINE)
    return found[1] if found else "not locked"


def write() -> None:
    written = DOCS / "benchmarks.md"
    written.write_text(document(TEMPLATE.read_text(), written.read_text()))
    if PLOT.exists():
        shutil.copyfile(PLOT, DOCS / "growth.svg")


if __name__ == "__main__":
    write()
