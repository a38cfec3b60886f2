"""Documents name only what exists: files, sections, commands, and the names in docs/architecture.md."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from infra.paths import PROJECT

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "client/*.md", "docs/**/*.md", "infra/**/*.md", "tests/**/*.md")
    for path in PROJECT.glob(pattern)
)
ARCHITECTURE = PROJECT / "docs" / "architecture.md"

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)\s]*)?\)")
ANCHOR = re.compile(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PATH_IN_CODE = re.compile(
    r"`((?:core|exchanges|extractors|spark_jobs|server|infra)/[\w/.-]+\.\w+)`"
)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
MAKE = re.compile(r"(?:`make (?:-s )?|^make )([a-z][a-z-]*[a-z])(?=[` ]|$)", re.MULTILINE)
SPARK_SUBMIT = re.compile(r"spark-submit (?:--\S+ \S+ )*([\w/]+\.py)")
MODULE = re.compile(r"python -m ([\w.]+\w)")
PACKAGES = ("extractors", "infra", "server", "spark_jobs", "benchmarks", "tests")
NAMED = re.compile(r"\]\(\.\./([\w/.-]+)\): `(\w+)`")
NAMED_BEFORE = re.compile(r"`(\w+)` in \[[^\]]+\]\(\.\./([\w/.-]+)\)")


def links(document: Path) -> set[Path]:
    text = document.read_text()
    found = {document.parent / link.replace("\\", "") for link in LINK.findall(text)}
    return found | {PROJECT / path for path in PATH_IN_CODE.findall(text)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    missing = [str(path) for path in links(document) if not path.exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_section_that_a_link_names_exists(document: Path) -> None:
    missing = [
        f"{file}#{anchor}"
        for file, anchor in ANCHOR.findall(document.read_text())
        if not file or file.endswith(".md")
        if anchor not in anchors(document.parent / file if file else document)
    ]
    assert missing == []


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub forms them."""
    headings = HEADING.findall(CODE_BLOCK.sub("", document.read_text()))
    shown = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in shown}


def test_every_name_in_the_architecture_is_defined_in_its_file() -> None:
    text = ARCHITECTURE.read_text()
    named = [*NAMED.findall(text), *((path, name) for name, path in NAMED_BEFORE.findall(text))]
    undefined = [(path, name) for path, name in named if not defines(PROJECT / path, name)]
    assert len(named) > 30
    assert undefined == []


# The changelog also names what is gone.
@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if path.name != "CHANGELOG.md"],
    ids=lambda path: str(path.relative_to(PROJECT)),
)
def test_every_command_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    targets = set(TARGET.findall((PROJECT / "Makefile").read_text()))
    assert [name for name in MAKE.findall(text) if name not in targets] == []
    assert [path for path in SPARK_SUBMIT.findall(text) if not (PROJECT / path).exists()] == []
    modules = {name for name in MODULE.findall(text) if name.split(".")[0] in PACKAGES}
    assert [name for name in modules if find_spec(name) is None] == []


def defines(file: Path, name: str) -> bool:
    """Return whether a file of Python or JavaScript defines the name."""
    defined = rf"^(?:(?:async )?def|class) {name}\b|^\s*{name}\b[^\n]*="
    in_javascript = rf"^(?:export )?(?:(?:async )?function|class|const) {name}\b"
    definition = f"{defined}|{in_javascript}"
    return re.search(definition, file.read_text(), re.MULTILINE) is not None
