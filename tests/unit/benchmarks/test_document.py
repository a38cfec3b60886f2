"""Test which results stay in the document of the benchmarks when others are measured."""

from benchmarks.document import answers_in

TEMPLATE = """# Benchmarks

{machine}

## How fast?

Words (and more).

{one}

Between.

{two}

## How large?

{three}

{four}
"""

RESULTS = {
    "machine": "| a |",
    "one": "`first`, one day.\n\n| x | y |",
    "two": "`second`",
    "three": "`third`\n\n| x | y |\n\nA note.",
    "four": "Not measured.",
}


def with_results(template: str) -> str:
    for name, text in RESULTS.items():
        template = template.replace("{" + name + "}", text)
    return template


def test_each_result_is_found_whatever_it_contains() -> None:
    assert answers_in(with_results(TEMPLATE), TEMPLATE) == RESULTS


def test_a_section_whose_text_changed_keeps_no_result() -> None:
    document = with_results(TEMPLATE.replace("Between.", "Meanwhile."))
    assert answers_in(document, TEMPLATE).keys() == {"machine", "three", "four"}
