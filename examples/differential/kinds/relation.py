"""Relations: equations, inequalities, congruences, families of solutions, sets by a condition, relations of sets and of statements."""

from fractions import Fraction

from .algebra import small, written
from .number import fraction


def equations(random):
    a, b, c = small(random), small(random), random.randint(2, 30)

    def line(a, b, c):
        return f"{written([(a, 1)])} {'+' if b > 0 else '-'} {written([(abs(b), 1)], 'y')} = {c}"

    times = random.choice([-3, -1, 2, 4])
    slope, start = Fraction(-a, b), Fraction(c, b)
    solved = f"y = {written([(slope, 1), (start, 0)])}"
    answer = line(a, b, c)
    same = [
        ("a multiple", line(a * times, b * times, c * times)),
        ("equal to zero", f"{written([(a, 1)])} {'+' if b > 0 else '-'} {written([(abs(b), 1)], 'y')} - {c} = 0"),
        ("solved", solved),
        ("exchanged sides", f"{c} = {answer.split(' = ')[0]}"),
        (
            "a term on the other side",
            f"{written([(a, 1)])} = {c} {'-' if b > 0 else '+'} {written([(abs(b), 1)], 'y')}",
        ),
    ]
    other = [
        ("another constant", line(a, b, c + 1)),
        ("a sign", line(a, -b, c)),
        ("another slope", line(a + 10, b, c)),
        (
            "equal to zero, wrong",
            f"{written([(a, 1)])} {'+' if b > 0 else '-'} {written([(abs(b), 1)], 'y')} + {c} = 0",
        ),
        ("solved, another start", f"y = {written([(slope, 1), (start + 1, 0)])}"),
        ("only the left side", answer.split(" = ")[0]),
        ("an inequality", answer.replace("=", "\\le")),
        ("not equal", answer.replace("=", "\\ne")),
        ("one side multiplied", line(2 * a, 2 * b, c)),
    ]
    return answer, same, other


def assignments(random):
    one, two = random.sample(range(-30, 31), 2)
    letters = random.choice(["xy", "ab", "mn", "pq"])
    left, right = letters
    answer = f"{left} = {one}, {right} = {two}"
    same = [
        ("the other first", f"{right} = {two}, {left} = {one}"),
        ("and", f"{left} = {one} \\text{{ and }} {right} = {two}"),
        ("a tuple", f"({one}, {two})"),
        ("no spaces", f"{left}={one},{right}={two}"),
        ("a semicolon", f"{left} = {one}; {right} = {two}"),
        ("names in a tuple", f"({left}, {right}) = ({one}, {two})"),
        ("cases", f"\\begin{{cases}} {left} = {one} \\\\ {right} = {two} \\end{{cases}}"),
    ]
    other = [
        ("exchanged", f"{left} = {two}, {right} = {one}"),
        ("another value", f"{left} = {one + 1}, {right} = {two}"),
        ("one missing", f"{left} = {one}"),
        ("a tuple exchanged", f"({two}, {one})"),
        ("names exchanged", f"({right}, {left}) = ({one}, {two})"),
        ("a sum", f"{left} + {right} = {one + two}"),
        ("other values later", f"{left} = {one}, {right} = {two}, {left} = {one + 2}"),
    ]
    return answer, same, other


LESS = {"<": ">", "\\le": "\\ge", ">": "<", "\\ge": "\\le"}
LOOSE = {"<": "\\le", "\\le": "<", ">": "\\ge", "\\ge": ">"}


def inequalities(random):
    sign, border, factor = random.choice(list(LESS)), random.randint(-30, 30) or 7, random.randint(2, 6)
    turned, loose = LESS[sign], LOOSE[sign]
    interval = {
        "<": f"(-\\infty, {border})",
        "\\le": f"(-\\infty, {border}]",
        ">": f"({border}, \\infty)",
        "\\ge": f"[{border}, \\infty)",
    }
    same = [
        ("turned around", f"{border} {turned} x"),
        ("multiplied", f"{factor}x {sign} {factor * border}"),
        ("negative", f"-x {turned} {-border}"),
        ("an interval", interval[sign]),
        (
            "another sign for it",
            f"x {sign.replace(chr(92) + 'le', chr(92) + 'leq').replace(chr(92) + 'ge', chr(92) + 'geq')} {border}.0",
        ),
        ("moved", f"x - {border} {sign} 0" if border > 0 else f"x + {-border} {sign} 0"),
    ]
    other = [
        ("the border", f"x {loose} {border}"),
        ("the other side", f"x {turned} {border}"),
        ("another border", f"x {sign} {border + 1}"),
        ("an equation", f"x = {border}"),
        ("only the border", f"{border}"),
        ("an interval with another border", interval[loose]),
        ("negative, not turned", f"-x {sign} {-border}"),
        ("the border's sign", f"x {sign} {-border}"),
        ("not equal", f"x \\ne {border}"),
    ]
    return f"x {sign} {border}", same, other


def congruences(random):
    modulus = random.randint(3, 30)
    residue = random.randrange(modulus)
    times = random.choice([2, -1, 5])
    answer = f"x \\equiv {residue} \\pmod{{{modulus}}}"
    same = [
        ("another residue", f"x \\equiv {residue + times * modulus} \\pmod{{{modulus}}}"),
        ("no letter", f"{residue} \\pmod{{{modulus}}}"),
        ("mod", f"x \\equiv {residue} \\mod {modulus}"),
        ("bmod", f"x \\equiv {residue} \\bmod {modulus}"),
        ("a family", f"x = {modulus}k + {residue}"),
        ("in parentheses", f"x \\equiv {residue} (\\text{{mod }} {modulus})"),
        ("the sign ≡", f"x ≡ {residue} (mod {modulus})"),
    ]
    other = [
        ("another residue", f"x \\equiv {(residue + 1) % modulus} \\pmod{{{modulus}}}"),
        ("another modulus", f"x \\equiv {residue} \\pmod{{{modulus + 1}}}"),
        ("twice the modulus", f"x \\equiv {residue} \\pmod{{{2 * modulus}}}"),
        ("an equation", f"x = {residue}"),
        ("only the modulus", f"{modulus}"),
        ("not congruent", f"x \\not\\equiv {residue} \\pmod{{{modulus}}}"),
        ("another family", f"x = {modulus + 1}k + {residue}"),
    ]
    return answer, same, other


def families(random):
    part, period, letter = random.randint(2, 12), random.choice([1, 2]), random.choice("xt")
    shown = "" if period == 1 else str(period)
    start = Fraction(1, part)
    answer = f"{letter} = {fraction(start)}\\pi + {shown}k\\pi, k \\in \\mathbb{{Z}}"
    same = [
        ("the letter n", answer.replace("k", "n")),
        ("another order", f"{letter} = {shown}k\\pi + \\frac{{\\pi}}{{{part}}}, k \\in \\mathbb{{Z}}"),
        ("no condition", f"{letter} = \\frac{{\\pi}}{{{part}}} + {shown}k\\pi"),
        ("no name", f"\\frac{{\\pi}}{{{part}}} + {shown}\\pi k"),
        ("a period later", f"{letter} = {fraction(start + period)}\\pi + {shown}k\\pi, k \\in \\mathbb{{Z}}"),
        ("the other direction", f"{letter} = \\frac{{\\pi}}{{{part}}} - {shown}k\\pi, k \\in \\mathbb{{Z}}"),
        ("the sign ∈", f"{letter} = \\frac{{\\pi}}{{{part}}} + {shown}\\pi k, k ∈ Z"),
    ]
    wrong = "2" if period == 1 else ""
    other = [
        ("another period", f"{letter} = \\frac{{\\pi}}{{{part}}} + {wrong}k\\pi, k \\in \\mathbb{{Z}}"),
        ("another start", f"{letter} = \\frac{{\\pi}}{{{part + 1}}} + {shown}k\\pi, k \\in \\mathbb{{Z}}"),
        ("one solution", f"{letter} = \\frac{{\\pi}}{{{part}}}"),
        ("the other start", f"{letter} = -\\frac{{\\pi}}{{{part + 1}}} + {shown}k\\pi, k \\in \\mathbb{{Z}}"),
        ("no start", f"{letter} = {shown}k\\pi, k \\in \\mathbb{{Z}}"),
        (
            "a third of the period",
            f"{letter} = \\frac{{\\pi}}{{{part}}} + \\frac{{{shown}k\\pi}}{{3}}, k \\in \\mathbb{{Z}}",
        ),
        ("only natural numbers", f"{letter} = \\frac{{\\pi}}{{{part}}} + {shown}k\\pi, k \\in \\mathbb{{N}}"),
    ]
    return answer, same, other


def sets_by_a_condition(random):
    border, sign = random.randint(-20, 20), random.choice([">", "<", "\\ge", "\\le"])
    interval = {
        "<": f"(-\\infty, {border})",
        "\\le": f"(-\\infty, {border}]",
        ">": f"({border}, \\infty)",
        "\\ge": f"[{border}, \\infty)",
    }
    answer = f"\\{{x \\mid x {sign} {border}\\}}"
    same = [
        ("a colon", f"\\{{x : x {sign} {border}\\}}"),
        ("a bar", f"\\{{x | x {sign} {border}\\}}"),
        ("another letter", f"\\{{t \\mid t {sign} {border}\\}}"),
        ("real numbers", f"\\{{x \\in \\mathbb{{R}} \\mid x {sign} {border}\\}}"),
        ("an interval", interval[sign]),
        ("left and right", f"\\left\\{{ x \\mid x {sign} {border} \\right\\}}"),
        ("turned around", f"\\{{x \\mid {border} {LESS[sign]} x\\}}"),
    ]
    other = [
        ("the border", f"\\{{x \\mid x {LOOSE[sign]} {border}\\}}"),
        ("the other side", f"\\{{x \\mid x {LESS[sign]} {border}\\}}"),
        ("another border", f"\\{{x \\mid x {sign} {border + 1}\\}}"),
        ("one number", f"{border}"),
        ("a set of one", f"\\{{{border}\\}}"),
        ("whole numbers", f"\\{{x \\in \\mathbb{{Z}} \\mid x {sign} {border}\\}}"),
        ("an interval with another border", interval[LOOSE[sign]]),
        ("not equal", f"\\{{x \\mid x \\ne {border}\\}}"),
    ]
    return answer, same, other


COMMUTE = [("\\cup", "\\cap"), ("\\cap", "\\cup"), ("\\lor", "\\land"), ("\\land", "\\lor")]
ORDERED = [
    ("\\subseteq", "\\supseteq"),
    ("\\subset", "\\supset"),
    ("\\prec", "\\succ"),
    ("\\perp", "\\parallel"),
    ("\\setminus", "\\cup"),
    ("\\to", "\\leftarrow"),
    ("\\circ", "+"),
    ("\\in", "\\notin"),
    ("\\implies", "\\impliedby"),
    ("\\mid", "\\nmid"),
]
SPELLED = {
    "\\cup": "∪",
    "\\cap": "∩",
    "\\lor": "\\vee",
    "\\land": "\\wedge",
    "\\subseteq": "⊆",
    "\\subset": "⊂",
    "\\prec": "≺",
    "\\perp": "⊥",
    "\\setminus": "\\backslash",
    "\\to": "\\rightarrow",
    "\\circ": "∘",
    "\\in": "∈",
    "\\implies": "\\Rightarrow",
    "\\mid": "|",
}


def operators(random):
    one, two, three = random.sample("ABCDEFGHKLMPQRST", 3)
    commutes = random.random() < 0.3
    sign, wrong = random.choice(COMMUTE if commutes else ORDERED)
    same = [
        ("another sign for it", f"{one} {SPELLED[sign]} {two}"),
        ("in braces", f"{{{one}}} {sign} {{{two}}}"),
        ("between dollar signs", f"${one} {sign} {two}$"),
    ]
    other = [
        ("another sign", f"{one} {wrong} {two}"),
        ("another letter", f"{one} {sign} {three}"),
        ("no sign", f"{one}{two}"),
        ("a comma", f"{one}, {two}"),
        ("an overline", f"\\overline{{{one}}} {sign} {two}"),
    ]
    if commutes:
        same.append(("exchanged", f"{two} {sign} {one}"))
    elif sign != "\\perp":
        other += [("exchanged", f"{two} {sign} {one}")] * 3
    return f"{one} {sign} {two}", same, other


def solutions(random):
    low, high = sorted(random.sample(range(-30, 31), 2))
    third = random.randint(31, 50)
    answer = f"x = {low} \\text{{ or }} x = {high}"
    same = [
        ("the other first", f"x = {high} \\text{{ or }} x = {low}"),
        ("numbers", f"{low}, {high}"),
        ("a set", f"\\{{{high}, {low}\\}}"),
        ("one name", f"x = {low}, {high}"),
        ("a membership", f"x \\in \\{{{low}, {high}\\}}"),
        ("indices", f"x_1 = {low}, x_2 = {high}"),
        ("and", f"{low} \\text{{ and }} {high}"),
        ("the sign ∨", f"x = {low} \\lor x = {high}"),
    ]
    other = [
        ("one missing", f"x = {low}"),
        ("only a number", f"{high}"),
        ("another value", f"x = {low} \\text{{ or }} x = {third}"),
        ("one more", f"x = {low}, x = {high}, x = {third}"),
        ("an interval", f"[{low}, {high}]"),
        ("between them", f"{low} < x < {high}"),
        ("not one of them", f"x \\ne {low}, x \\ne {high}"),
        ("their sum", f"{low + high + 100}"),
    ]
    return answer, same, other


def domains(random):
    hole = random.randint(-20, 20)
    same = [
        ("neq", f"x \\neq {hole}"),
        ("the sign ≠", f"x ≠ {hole}"),
        ("without a number", f"\\mathbb{{R}} \\setminus \\{{{hole}\\}}"),
        ("a set builder", f"\\{{x \\mid x \\ne {hole}\\}}"),
        ("two intervals", f"(-\\infty, {hole}) \\cup ({hole}, \\infty)"),
        ("two intervals exchanged", f"({hole}, \\infty) \\cup (-\\infty, {hole})"),
        ("two inequalities", f"x < {hole} \\text{{ or }} x > {hole}"),
        ("turned around", f"{hole} \\ne x"),
    ]
    other = [
        ("all numbers", "\\mathbb{R}" if hole % 2 else "(-\\infty, \\infty)"),
        ("the hole", f"x = {hole}"),
        ("another hole", f"x \\ne {hole + 1}"),
        ("closed", f"(-\\infty, {hole}] \\cup [{hole}, \\infty)"),
        ("only the right", f"({hole}, \\infty)"),
        ("without another number", f"\\mathbb{{R}} \\setminus \\{{{hole - 1}\\}}"),
        ("only the number", f"{hole}"),
    ]
    return f"x \\ne {hole}", same, other


def absolute_values(random):
    middle, radius = random.randint(-12, 12), random.randint(1, 15)
    inside = f"x - {middle}" if middle > 0 else f"x + {-middle}" if middle else "x"
    low, high = middle - radius, middle + radius
    answer = f"|{inside}| < {radius}"
    same = [
        ("both ends", f"{low} < x < {high}"),
        ("an interval", f"({low}, {high})"),
        ("commands", f"\\left|{inside}\\right| < {radius}"),
        ("vert", f"\\lvert {inside} \\rvert < {radius}"),
        ("turned around", f"{radius} > |{inside}|"),
        ("two inequalities", f"x > {low} \\text{{ and }} x < {high}"),
        ("squared", f"({inside})^2 < {radius * radius}"),
    ]
    other = [
        ("the outside", f"|{inside}| > {radius}"),
        ("with its ends", f"|{inside}| \\le {radius}"),
        ("without bars", f"{inside} < {radius}"),
        ("another radius", f"|{inside}| < {radius + 1}"),
        ("another middle", f"|x + {middle + 1}| < {radius}" if middle >= 0 else f"|x - {-middle + 1}| < {radius}"),
        ("closed", f"[{low}, {high}]"),
        ("half", f"x < {high}"),
        ("an equation", f"|{inside}| = {radius}"),
    ]
    return answer, same, other


KINDS = [
    ("equations", equations),
    ("assignments", assignments),
    ("inequalities", inequalities),
    ("congruences", congruences),
    ("families", families),
    ("sets by a condition", sets_by_a_condition),
    ("operators", operators),
    ("solutions", solutions),
    ("domains", domains),
    ("absolute values", absolute_values),
]
