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


def test_each_result_is_found_whatever_it_contains() -> None:
    results = {
        "machine": "| a |",
        "one": "`first`, one day.\n\n| x | y |",
        "two": "`second`",
        "three": "`third`\n\n| x | y |\n\nA note.",
        "four": "Not measured.",
    }
    document = TEMPLATE
    for name, text in results.items():
        document = document.replace("{" + name + "}", text)
    assert answers_in(document, TEMPLATE) == results


def test_a_section_whose_text_changed_keeps_no_result() -> None:
    document = TEMPLATE.replace("Between.", "Meanwhile.")
    assert answers_in(document, TEMPLATE).keys() == {"machine"}
