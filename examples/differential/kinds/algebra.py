"""Expressions: polynomials, rational functions, trigonometric and exponential expressions, antiderivatives, branches."""

from fractions import Fraction

from .number import fraction


def term(coefficient, power, letter="x"):
    """`- 3x^{2}`, with its sign."""
    sign = "-" if coefficient < 0 else "+"
    shown = abs(coefficient)
    head = "" if shown == 1 and power else fraction(shown)
    tail = "" if power == 0 else letter if power == 1 else f"{letter}^{{{power}}}" if power > 9 else f"{letter}^{power}"
    return f"{sign} {head}{tail}"


def written(terms, letter="x"):
    """A sum of (coefficient, power); coefficients that are 0 are left out."""
    text = " ".join(term(coefficient, power, letter) for coefficient, power in terms if coefficient)
    return "-" + text[2:] if text.startswith("- ") else text.removeprefix("+ ") or "0"


def times(one, two):
    """The coefficients of a product, from the lowest power."""
    product = [0] * (len(one) + len(two) - 1)
    for at, left in enumerate(one):
        for by, right in enumerate(two):
            product[at + by] += left * right
    return product


def expanded(coefficients, letter="x"):
    return written([(coefficient, power) for power, coefficient in reversed(list(enumerate(coefficients)))], letter)


def small(random, largest=9):
    return random.choice([1, -1]) * random.randint(1, largest)


def polynomials(random):
    factors = [[small(random), random.choice([1, 1, 2, 3])] for _ in range(random.randint(2, 3))]
    coefficients = [1]
    for factor in factors:
        coefficients = times(coefficients, factor)
    terms = [(coefficient, power) for power, coefficient in enumerate(coefficients) if coefficient]
    answer = expanded(coefficients)
    brackets = [f"({expanded(factor)})" for factor in factors]
    nested = str(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        nested = f"({nested})x {'-' if coefficient < 0 else '+'} {abs(coefficient)}"
    shuffled = random.sample(terms, len(terms))
    half = [(coefficient * 2, power) for coefficient, power in reversed(terms)]
    same = [
        ("factored", "".join(brackets)),
        ("cdot between factors", " \\cdot ".join(reversed(brackets))),
        ("nested", nested),
        ("another order", written(shuffled)),
        ("half of the double", f"\\frac{{{written(half)}}}{{2}}"),
        ("a name", f"y = {answer}"),
    ]
    at = random.randrange(len(terms))
    one_off = [(coefficient + (1 if index == at else 0), power) for index, (coefficient, power) in enumerate(terms)]
    negated = [
        (-coefficient if index == at else coefficient, power) for index, (coefficient, power) in enumerate(terms)
    ]
    wrong_factors = [[-factors[0][0], factors[0][1]], *factors[1:]]
    other = [
        ("a coefficient", written(one_off[::-1])),
        ("a sign", written(negated[::-1])),
        ("another letter", expanded(coefficients, "y")),
        ("a factor's sign", "".join(f"({expanded(factor)})" for factor in wrong_factors)),
        ("squared", f"({answer})^2"),
        ("equal to zero", f"{answer} = 0"),
        ("one power more", written([(coefficient, power + 1) for coefficient, power in reversed(terms)])),
        ("equal at small whole numbers", f"{answer} + x(x-1)(x-2)(x-3)"),
    ]
    return answer, same, other


def rational_functions(random):
    whole, top, pole = small(random), small(random), small(random)
    other_pole = pole + random.randint(1, 6)
    if other_pole == 0:
        other_pole = 11
    bottom = expanded([-pole, 1])
    answer = f"\\frac{{{expanded([top - whole * pole, whole])}}}{{{bottom}}}"
    same = [
        ("divided", f"{whole} {'+' if top > 0 else '-'} \\frac{{{abs(top)}}}{{{bottom}}}"),
        ("both sides negative", f"\\frac{{{expanded([whole * pole - top, -whole])}}}{{{expanded([pole, -1])}}}"),
        ("widened", f"\\frac{{{expanded([3 * (top - whole * pole), 3 * whole])}}}{{{expanded([-3 * pole, 3])}}}"),
        ("with a slash", f"({expanded([top - whole * pole, whole])})/({bottom})"),
        ("a negative power", f"({expanded([top - whole * pole, whole])})({bottom})^{{-1}}"),
        ("widened by a polynomial", f"\\frac{{({expanded([top - whole * pole, whole])})(x^2+1)}}{{({bottom})(x^2+1)}}"),
    ]
    other = [
        ("the fraction's sign", f"{whole} {'-' if top > 0 else '+'} \\frac{{{abs(top)}}}{{{bottom}}}"),
        ("another pole", f"\\frac{{{expanded([top - whole * pole, whole])}}}{{{expanded([-other_pole, 1])}}}"),
        ("turned over", f"\\frac{{{bottom}}}{{{expanded([top - whole * pole, whole])}}}"),
        ("one more", f"\\frac{{{expanded([top - whole * pole + 1, whole])}}}{{{bottom}}}"),
        ("the pole's sign", f"{whole} {'+' if top > 0 else '-'} \\frac{{{abs(top)}}}{{{expanded([pole, 1])}}}"),
        ("only the numerator", expanded([top - whole * pole, whole])),
        ("without brackets", f"{expanded([top - whole * pole, whole])}/{bottom}"),
    ]
    return answer, same, other


def trigonometry(random):
    inside, factor = random.choice(["x", "t", "\\theta", "2x", "3t"]), random.randint(1, 9)
    head = "" if factor == 1 else str(factor)
    double = {"x": "2x", "t": "2t", "\\theta": "2\\theta", "2x": "4x", "3t": "6t"}[inside]
    case = random.randrange(4)
    if case == 0:
        return (
            f"{head}\\sin({double})",
            [
                ("both functions", f"{2 * factor}\\sin({inside})\\cos({inside})"),
                ("without parentheses", f"{head}\\sin {double}"),
                ("a cosine", f"{head}\\cos(\\frac{{\\pi}}{{2}} - {double})"),
                ("a tangent", f"\\frac{{{2 * factor}\\tan {inside}}}{{1 + \\tan^2 {inside}}}"),
            ],
            [
                ("no double", f"{factor + 1}\\sin({double})"),
                ("the cosine", f"{head}\\cos({double})"),
                ("half", f"{head}\\sin({inside})\\cos({inside})"),
                ("twice the sine", f"{2 * factor}\\sin({inside})"),
                ("negative", f"-{head}\\sin({double})"),
                ("a square", f"{head}\\sin^2({double})"),
                ("the inverse", f"{head}\\arcsin({double})"),
            ],
        )
    if case == 1:
        return (
            f"{head}\\cos({double})",
            [
                ("squares", f"{head}(\\cos^2({inside}) - \\sin^2({inside}))"),
                ("one square", f"{head}(1 - 2\\sin^2 {inside})"),
                ("the other square", f"{head}(2\\cos^2 {inside} - 1)"),
                ("a negative inside", f"{head}\\cos(-{double})"),
            ],
            [
                ("a sum", f"{head}(\\cos^2({inside}) + \\sin^2({inside}))"),
                ("turned around", f"{head}(2\\sin^2 {inside} - 1)"),
                ("the sine", f"{head}\\sin({double})"),
                ("one more", f"{factor + 1}\\cos({double})"),
                ("twice", f"{2 * factor}\\cos({inside})"),
                ("the inverse", f"{head}\\sec({double})"),
            ],
        )
    if case == 2:
        return (
            f"{head}\\tan {inside}",
            [
                ("a quotient", f"\\frac{{{head or 1}\\sin {inside}}}{{\\cos {inside}}}"),
                ("tg", f"{head}\\operatorname{{tg}} {inside}"),
                ("a cotangent", f"\\frac{{{factor}}}{{\\cot {inside}}}"),
                ("a period later", f"{head}\\tan({inside} + \\pi)"),
            ],
            [
                ("the cotangent", f"{head}\\cot {inside}"),
                ("turned over", f"\\frac{{{head or 1}\\cos {inside}}}{{\\sin {inside}}}"),
                ("hyperbolic", f"{head}\\tanh {inside}"),
                ("one more", f"{factor + 1}\\tan {inside}"),
                ("the inverse", f"{head}\\arctan {inside}"),
            ],
        )
    angle, sine = random.choice([(30, "\\frac{1}{2}"), (45, "\\frac{\\sqrt{2}}{2}"), (60, "\\frac{\\sqrt{3}}{2}")])
    return (
        f"{factor} \\cdot {sine}",
        [
            ("a sine of degrees", f"{factor}\\sin {angle}^\\circ"),
            ("a cosine of degrees", f"{factor}\\cos {90 - angle}^\\circ"),
            ("a sine", f"{factor}\\sin\\frac{{\\pi}}{{{180 // angle}}}"),
            ("the supplement", f"{factor}\\sin {180 - angle}^\\circ"),
        ],
        [
            ("radians", f"{factor}\\sin {angle}"),
            ("negative", f"-{factor}\\sin {angle}^\\circ"),
            ("a tangent", f"{factor}\\tan {angle}^\\circ"),
            ("the inverse", f"\\frac{{{factor}}}{{\\sin {angle}^\\circ}}"),
            ("one more", f"{factor + 1}\\sin {angle}^\\circ"),
        ],
    )


def exponentials(random):
    factor, power, shift = random.randint(2, 9), random.randint(2, 6), random.randint(2, 5)
    letter = random.choice("xt")
    answer = f"{factor}e^{{{power}{letter}}} - {shift}"
    same = [
        ("a power of a power", f"{factor}(e^{{{letter}}})^{{{power}}} - {shift}"),
        ("exp", f"{factor}\\exp({power}{letter}) - {shift}"),
        ("another order", f"-{shift} + {factor}e^{{{power}{letter}}}"),
        ("a product", f"{factor}e^{{{letter}}}e^{{{power - 1}{letter}}} - {shift}"),
        ("a quotient", f"\\frac{{{factor}}}{{e^{{-{power}{letter}}}}} - {shift}"),
    ]
    other = [
        ("the exponent's sign", f"{factor}e^{{-{power}{letter}}} - {shift}"),
        ("another exponent", f"{factor}e^{{{power + 1}{letter}}} - {shift}"),
        ("the factor inside", f"e^{{{factor * power}{letter}}} - {shift}"),
        ("a sum", f"{factor}e^{{{power}{letter}}} + {shift}"),
        ("another base", f"{factor} \\cdot 2^{{{power}{letter}}} - {shift}"),
        ("all in the exponent", f"{factor}e^{{{power}{letter} - {shift}}}"),
        ("its beginning", f"{factor} + {factor * power}{letter} - {shift}"),
    ]
    return answer, same, other


def antiderivatives(random):
    one, two = small(random), small(random)
    shown = written([(Fraction(one, 3), 3), (Fraction(two, 2), 2)])
    same = [
        ("a small letter", f"{shown} + c"),
        ("the constant first", f"C + {shown}" if one > 0 else f"C - {shown[1:]}"),
        ("one fraction", f"\\frac{{{written([(2 * one, 3), (3 * two, 2)])}}}{{6}} + C"),
        ("text", f"{shown} + \\text{{C}}"),
    ]
    other = [
        ("no constant", shown),
        ("another coefficient", f"{written([(Fraction(one, 3), 3), (Fraction(two + 13, 2), 2)])} + C"),
        ("the integrand", written([(one, 2), (two, 1)])),
        ("a factor", f"C({shown})"),
        ("not divided", f"{written([(one, 3), (two, 2)])} + C"),
        ("another power", f"{written([(Fraction(one, 3), 4), (Fraction(two, 2), 2)])} + C"),
    ]
    return f"{shown} + C", same, other


def branches(random):
    slope, high, border = random.randint(2, 9), random.randint(26, 60), random.randint(-5, 5)

    def cases(one, two, signs=("<", "\\ge"), at=border):
        return f"\\begin{{cases}} {one} & \\text{{if }} x {signs[0]} {at} \\\\ {two} & \\text{{if }} x {signs[1]} {at} \\end{{cases}}"

    line, square = f"{slope}x", f"x^2 + {high}"
    answer = cases(line, square)
    same = [
        ("the other branch first", cases(square, line, ("\\ge", "<"))),
        ("no words", answer.replace("\\text{if }", "")),
        ("commas", answer.replace(" & ", ", & ")),
        ("a name", f"f(x) = {answer}"),
        ("geq", answer.replace("\\ge", "\\geq")),
        ("a border's other spelling", cases(line, square, at=f"{border}.0")),
    ]
    other = [
        ("branches exchanged", cases(square, line)),
        ("another border", cases(line, square, at=border + 1)),
        ("another branch", cases(line, f"x^2 + {high + 1}")),
        ("only one branch", line),
        ("the border's signs", cases(line, square, ("\\le", ">"))),
        ("conditions exchanged", cases(line, square, ("\\ge", "<"))),
        ("a pair", f"({line}, {square})"),
    ]
    return answer, same, other


KINDS = [
    ("polynomials", polynomials),
    ("rational functions", rational_functions),
    ("trigonometric expressions", trigonometry),
    ("exponentials", exponentials),
    ("antiderivatives", antiderivatives),
    ("branches", branches),
]
