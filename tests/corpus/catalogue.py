"""All seeds by category. They are made by code, so that a table of words is all that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from tests.corpus import (
    addresses,
    answers,
    bodies,
    fields,
    found,
    headers,
    identities,
    json_texts,
    kinds,
    lines,
    numbers,
    parts,
    paths,
    properties,
    queries,
    string_fields,
    wire_answers,
)
from tests.corpus.forms import LIMITED, SLOW
from tests.corpus.seeds import PATH, Answered, Seed, Soon, call, text

OWN = PATH.replace("/sim/", "/own/")
"""Where every seed's path is an API by itself."""
_SLOW_SECONDS = 1.5
_LIMITED_SECONDS = 8.0


def answer_seeds() -> Iterator[Seed]:
    """B14: a read for each form, tried once."""
    for form in (*answers.forms(), *wire_answers.forms()):
        path = OWN if form.limits else PATH
        deadlines = [(SLOW, _SLOW_SECONDS), (LIMITED, _LIMITED_SECONDS)]
        soon = [seconds for ends, seconds in deadlines if ends & form.ends]
        given = {"headers": {"lark-deadline": Soon(soon[0])}} if soon else {}
        body = text(call(path=path, retry="never"))
        yield Seed(form.name, Answered(form), body, given)


@dataclass(frozen=True)
class Category:
    """What its seeds have in common, and how many there must be."""

    title: str
    least: int
    make: Callable[[], Iterable[Seed]]


CATEGORIES = {
    "b1": Category("JSON texts", 318 * 2 + 22, json_texts.seeds),
    "b2": Category("strings in fields", 515 * 7, string_fields.seeds),
    "b3": Category("types of fields", 25 * 16, fields.seeds),
    "b4": Category("paths", 160, paths.seeds),
    "b5": Category("headers", 120, headers.header_seeds),
    "b6": Category("methods", 30, headers.method_seeds),
    "b7": Category("queries", 60, queries.seeds),
    "b8": Category("bodies and files", 120, lambda: chain(bodies.seeds(), parts.seeds())),
    "b9": Category("properties of messages", 200, properties.seeds),
    "b10": Category("reply addresses and correlation ids", 80, addresses.seeds),
    "b11": Category("identities", 100, identities.seeds),
    "b12": Category("numbers and times", 80, numbers.seeds),
    "b13": Category("lines of logs", 60, lines.seeds),
    "b14": Category("Feishu's answers", 250, answer_seeds),
    "b0": Category("kinds of poison by rule", 250, kinds.seeds),
    "b15": Category("what fuzzing found", 0, found.seeds),
}
LEAST = 5_900


def seeds_of(category: str) -> list[Seed]:
    """The seeds of one category with their marks and unique names."""
    made = enumerate(CATEGORIES[category].make())
    return [
        replace(seed.marked(f"{category}-{place}"), name=f"{category}-{place} {seed.name}")
        for place, seed in made
    ]
