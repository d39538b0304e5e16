"""Several values: tuples, vectors, sets, intervals, unions, matrices."""

from fractions import Fraction

from .number import decimal, fraction, proper


def value(random):
    """A value, as (usual writing, another writing)."""
    kind = random.randrange(4)
    if kind == 0:
        half = random.choice([1, -1]) * proper(random, 12)
        return fraction(half), str(half)
    if kind == 1:
        thousandths = random.randint(1, 60) * 250
        return decimal(thousandths), fraction(Fraction(thousandths, 1000))
    if kind == 2:
        root = random.choice([2, 3, 5, 7])
        return f"\\sqrt{{{root}}}", f"{root}^{{1/2}}"
    whole = random.choice([1, -1]) * random.randint(1, 40)
    return str(whole), f"{whole}.0"


def values(random, count):
    """So many values of which no two are equal."""
    found = {}
    while len(found) < count:
        one = value(random)
        found.setdefault(number(one[0]), one)
    return list(found.values())


def number(text):
    """The number behind the usual writing of a value; of a root, its writing."""
    if "sqrt" in text:
        return text
    if "frac" in text:
        top, bottom = text.lstrip("-").removeprefix("\\frac{").removesuffix("}").split("}{")
        return Fraction(int(top), int(bottom)) * (-1 if text[0] == "-" else 1)
    return Fraction(text)


def usual(found):
    return [one[0] for one in found]


def respelled(random, found):
    """The usual writings, with one of another spelling."""
    texts = usual(found)
    at = random.randrange(len(texts))
    texts[at] = found[at][1]
    return texts


def changed(random, found):
    """The usual writings with one value that is in none of them."""
    texts = usual(found)
    texts[random.randrange(len(texts))] = str(random.randint(60, 99))
    return texts


def moved(random, texts):
    """The same texts in another order."""
    while True:
        order = random.sample(texts, len(texts))
        if order != texts:
            return order


def tuples(random):
    found = values(random, random.randint(2, 4))
    texts = usual(found)
    same = [
        ("left and right", f"\\left( {', '.join(texts)} \\right)"),
        ("no spaces", f"({','.join(texts)})"),
        ("another spelling", f"({', '.join(respelled(random, found))})"),
        ("big", f"\\bigl({', '.join(texts)}\\bigr)"),
    ]
    other = [
        ("another order", f"({', '.join(moved(random, texts))})"),
        ("another value", f"({', '.join(changed(random, found))})"),
        ("one missing", f"({', '.join(texts[:-1])})"),
        ("one twice", f"({', '.join([*texts, texts[-1]])})"),
        ("two tuples", f"({', '.join(texts)}), ({', '.join(changed(random, found))})"),
    ]
    return f"({', '.join(texts)})", same, other


def vectors(random):
    found = values(random, 3)
    texts = usual(found)

    def sum_of(texts):
        return " + ".join(
            f"{text if text[0] != '-' else f'({text})'}\\mathbf{{{name}}}" for text, name in zip(texts, "ijk")
        )

    column = " \\\\ ".join(texts)
    same = [
        ("a tuple", f"({', '.join(texts)})"),
        ("a column", f"\\begin{{pmatrix}} {column} \\end{{pmatrix}}"),
        ("in brackets", f"\\begin{{bmatrix}} {column} \\end{{bmatrix}}"),
        ("another spelling", f"\\langle {', '.join(respelled(random, found))} \\rangle"),
        ("left and right", f"\\left\\langle {', '.join(texts)} \\right\\rangle"),
        ("unit vectors", sum_of(texts)),
    ]
    wrong = changed(random, found)
    other = [
        ("another order", f"\\langle {', '.join(moved(random, texts))} \\rangle"),
        ("another value", f"\\langle {', '.join(wrong)} \\rangle"),
        ("a column with another value", "\\begin{pmatrix} " + " \\\\ ".join(wrong) + " \\end{pmatrix}"),
        ("unit vectors in another order", sum_of(moved(random, texts))),
        ("one missing", f"\\langle {', '.join(texts[:2])} \\rangle"),
    ]
    return f"\\langle {', '.join(texts)} \\rangle", same, other


def sets(random):
    found = values(random, random.choice([2, 3, 4, 5, 12]))
    texts = usual(found)
    same = [
        ("another order", f"\\{{{', '.join(moved(random, texts))}\\}}"),
        ("left and right", f"\\left\\{{ {', '.join(texts)} \\right\\}}"),
        ("another spelling", f"\\{{{', '.join(respelled(random, found))}\\}}"),
        ("one twice", f"\\{{{', '.join([*texts, texts[0]])}\\}}"),
        ("lbrace", f"\\lbrace {', '.join(moved(random, texts))} \\rbrace"),
        ("a union", f"\\{{{texts[0]}\\}} \\cup \\{{{', '.join(texts[1:])}\\}}"),
    ]
    other = [
        ("one missing", f"\\{{{', '.join(texts[1:])}\\}}"),
        ("another value", f"\\{{{', '.join(changed(random, found))}\\}}"),
        ("one more", f"\\{{{', '.join([*texts, '77'])}\\}}"),
        ("a tuple", f"({', '.join(moved(random, texts))})"),
        ("the complement", f"\\mathbb{{R}} \\setminus \\{{{', '.join(texts)}\\}}"),
    ]
    return f"\\{{{', '.join(texts)}\\}}", same, other


def two_ends(random):
    low = random.randint(-30, 20)
    high = low + random.randint(2, 30)
    return (low, high), random.choice("(["), random.choice(")]")


def intervals(random):
    (low, high), left, right = two_ends(random)
    answer = f"{left}{low}, {high}{right}"
    outward = {"(": "]", "[": "[", ")": "[", "]": "]"}
    flipped = {"(": "[", "[": "(", ")": "]", "]": ")"}
    same = [
        ("left and right", f"\\left{left}{low}, {high}\\right{right}"),
        ("a semicolon", f"{left}{low}; {high}{right}"),
        ("a membership", f"x \\in {left}{low}, {high}{right}"),
        ("another spelling", f"{left}{2 * low}/2, {high}.0{right}"),
        ("a union", f"{left}{low}, {high - 1}] \\cup [{high - 1}, {high}{right}"),
        (
            "a set builder",
            f"\\{{x \\mid {low} {'<' if left == '(' else chr(92) + 'le'} x {'<' if right == ')' else chr(92) + 'le'} {high}\\}}",
        ),
    ]
    if "(" in left or ")" in right:
        same.append(("brackets outward", f"{outward[left]}{low}, {high}{outward[right]}"))
    other = [
        ("the left end", f"{flipped[left]}{low}, {high}{right}"),
        ("the right end", f"{left}{low}, {high}{flipped[right]}"),
        ("another right end", f"{left}{low}, {high + 1}{right}"),
        ("without end", f"{left}{low}, \\infty)"),
        ("one number", f"{high}"),
        ("the outside", f"(-\\infty, {low}) \\cup ({high}, \\infty)"),
    ]
    # `(1, 3)` may be a pair as well.
    if (left, right) != ("(", ")"):
        other.append(("only the ends", f"\\{{{low}, {high}\\}}"))
    return answer, same, other


def unions(random):
    low = random.randint(-20, 0)
    middle = low + random.randint(1, 9)
    high = middle + random.randint(2, 9)
    left, right = f"(-\\infty, {low}]", f"({middle}, {high})"
    same = [
        ("exchanged", f"{right} \\cup {left}"),
        ("left and right", f"\\left(-\\infty, {low}\\right] \\cup \\left({middle}, {high}\\right)"),
        ("the sign ∪", f"{left} ∪ {right}"),
        ("infty with a sign", f"(-\\infty, {low}] \\cup ({middle}, {high}.0)"),
        (
            "in three",
            f"{left} \\cup ({middle}, {high - 1}] \\cup ({high - 1}, {high})"
            if high - 1 > middle
            else f"{right}\\cup{left}",
        ),
    ]
    other = [
        ("an intersection", f"{left} \\cap {right}"),
        ("an end", f"(-\\infty, {low}) \\cup {right}"),
        ("only the right", right),
        ("only the left", left),
        ("another end", f"{left} \\cup ({middle}, {high + 1})"),
        ("one interval", f"(-\\infty, {high})"),
        ("another infinity", f"(\\infty, {low}] \\cup ({low}, {middle})"),
    ]
    return f"{left} \\cup {right}", same, other


def matrices(random):
    rows, columns = random.choice([(2, 2), (2, 3), (3, 2), (3, 3)])
    found = values(random, rows * columns)

    def written(texts, environment="pmatrix", width=columns):
        lines = [" & ".join(texts[at : at + width]) for at in range(0, len(texts), width)]
        return f"\\begin{{{environment}}} " + " \\\\ ".join(lines) + f" \\end{{{environment}}}"

    texts = usual(found)
    turned = [texts[row * columns + column] for column in range(columns) for row in range(rows)]
    same = [
        ("bmatrix", written(texts, "bmatrix")),
        ("another spelling", written(respelled(random, found))),
        (
            "an array",
            "\\left(\\begin{array}{"
            + "c" * columns
            + "} "
            + written(texts).removeprefix("\\begin{pmatrix} ").removesuffix(" \\end{pmatrix}")
            + " \\end{array}\\right)",
        ),
        ("a last line break", written(texts).replace(" \\end", " \\\\ \\end")),
        ("a name before", f"A = {written(texts)}"),
    ]
    exchanged = texts[columns : 2 * columns] + texts[:columns] + texts[2 * columns :]
    other = [
        ("transposed", written(turned, width=rows)),
        ("another value", written(changed(random, found))),
        ("rows exchanged", written(exchanged)),
        ("a row missing", written(texts[columns:])),
        ("turned around", written(texts[::-1])),
        ("twice", f"2{written(texts)}"),
    ]
    if rows == columns:
        other.append(("a determinant", written(texts, "vmatrix")))
    return written(texts), same, other


def long_sets(random):
    found = random.sample(range(1, 2000), random.randint(60, 200))
    wrong = found[:]
    wrong[random.randrange(len(wrong))] = random.randint(2001, 3000)
    texts = [str(one) for one in found]
    same = [
        ("sorted", f"\\{{{', '.join(map(str, sorted(found)))}\\}}"),
        ("another order", f"\\{{{', '.join(moved(random, texts))}\\}}"),
        ("one with a point", f"\\{{{', '.join([f'{texts[0]}.0', *texts[1:]])}\\}}"),
    ]
    other = [
        ("another number", f"\\{{{', '.join(map(str, sorted(wrong)))}\\}}"),
        ("one missing", f"\\{{{', '.join(map(str, sorted(found[1:])))}\\}}"),
        ("one more", f"\\{{{', '.join(map(str, [*found, 2500]))}\\}}"),
    ]
    return f"\\{{{', '.join(texts)}\\}}", same, other


def sequences(random):
    first, step, count = random.randint(1, 9), random.randint(1, 6), random.randint(6, 12)
    members = [str(first + step * at) for at in range(count)]
    wrong = [str(first + (step + 1) * at) for at in range(count)]
    answer = f"\\{{{', '.join(members)}\\}}"
    same = [
        ("dots", f"\\{{{', '.join(members[:3])}, \\ldots, {members[-1]}\\}}"),
        ("plain dots", f"\\{{{', '.join(members[:3])}, ..., {members[-1]}\\}}"),
        ("dots after two", f"\\{{{members[0]}, {members[1]}, \\dots, {members[-1]}\\}}"),
        ("another order", f"\\{{{', '.join(moved(random, members))}\\}}"),
    ]
    other = [
        ("dots, another end", f"\\{{{', '.join(members[:3])}, \\ldots, {first + step * count}\\}}"),
        ("dots, another step", f"\\{{{', '.join(wrong[:3])}, \\ldots, {wrong[-1]}\\}}"),
        ("dots without end", f"\\{{{', '.join(members[:3])}, \\ldots\\}}"),
        ("only what is written", f"\\{{{', '.join([*members[:3], members[-1]])}\\}}"),
        ("dots, another beginning", f"\\{{{first - 1}, {', '.join(members[:3])}, \\ldots, {members[-1]}\\}}"),
    ]
    return answer, same, other


KINDS = [
    ("tuples", tuples),
    ("vectors", vectors),
    ("sets", sets),
    ("intervals", intervals),
    ("unions of intervals", unions),
    ("matrices", matrices),
    ("long sets", long_sets),
    ("sequences with dots", sequences),
]
