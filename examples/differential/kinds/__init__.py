"""The kinds of answers. A kind draws a right answer, writings that equal it and writings that do not."""

from dataclasses import dataclass

from . import algebra, collection, number, quantity, relation, text


@dataclass(frozen=True)
class Pair:
    """One right answer and one completion, equal or different by construction."""

    kind: str
    form: str
    answer: str
    completion: str
    equal: bool


KINDS = [*number.KINDS, *quantity.KINDS, *collection.KINDS, *algebra.KINDS, *relation.KINDS, *text.KINDS]

# The kinds whose writings are whole completions. All others are put in a box.
WHOLE = {"sentences"}


def draw_pairs(kind, count, random):
    """`count` equal and `count` different pairs of a kind; no pair twice, no completion that repeats the answer."""
    name, draw = kind
    pairs = []
    for equal in (True, False):
        seen = set()
        for _ in range(100 * count):
            answer, same, other = draw(random)
            form, written = random.choice(same if equal else other)
            if written == answer or (answer, written) in seen:
                continue
            seen.add((answer, written))
            completion = written if name in WHOLE else rf"The result is \boxed{{{written}}}."
            pairs.append(Pair(name, form, answer, completion, equal))
            if len(seen) == count:
                break
        else:
            raise ValueError(f"the kind {name} has only {len(seen)} pairs that differ")
    return pairs
