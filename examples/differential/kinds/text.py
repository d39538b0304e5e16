"""Text: words, choices, letters in a row, decorated answers, sentences around an answer."""

from .number import fraction, proper

WORDS = [
    ("north", "south"),
    ("Monday", "Tuesday"),
    ("increasing", "decreasing"),
    ("even", "odd"),
    ("convex", "concave"),
    ("red", "blue"),
    ("parabola", "ellipse"),
    ("Yes", "No"),
    ("True", "False"),
    ("rational", "irrational"),
    ("converges", "diverges"),
    ("Alice", "Carol"),
    ("acute", "obtuse"),
    ("hydrogen", "helium"),
    ("January", "June"),
    ("circle", "square"),
    ("clockwise", "counterclockwise"),
    ("prime", "composite"),
    ("linear", "quadratic"),
    ("Paris", "London"),
    ("possible", "impossible"),
    ("equilateral triangle", "isosceles triangle"),
    ("upper left", "upper right"),
    ("first quadrant", "third quadrant"),
    ("standard deviation", "mean deviation"),
    ("heads", "tails"),
    ("kinetic energy", "potential energy"),
    ("winter", "summer"),
    ("east", "west"),
    ("cyan", "magenta"),
]
LETTERS = "ABCDEFGHJKLMNPQRST"
ROMAN = [(100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]


def words(random):
    right, wrong = random.choice(WORDS)
    if random.random() < 0.5:
        right, wrong = wrong, right
    same = [
        ("without text", right),
        ("small letters", f"\\text{{{right.lower()}}}"),
        ("capitals", f"\\text{{{right.upper()}}}"),
        ("bold", f"\\textbf{{{right}}}"),
        ("a point", f"\\text{{{right}.}}"),
        ("mathrm", f"\\mathrm{{{right}}}".replace(" ", "\\ ")),
        ("stars", f"**{right}**"),
    ]
    other = [
        ("the opposite", f"\\text{{{wrong}}}"),
        ("the opposite without text", wrong),
        ("not", f"\\text{{not {right}}}"),
        ("both", f"\\text{{{right} or {wrong}}}"),
        ("a letter missing", f"\\text{{{right[:-2]}}}"),
        ("its first letter", f"\\text{{{right[0]}}}"),
        ("both with and", f"\\text{{{wrong} and {right}}}"),
        ("turned around", f"\\text{{{right[::-1]}}}"),
    ]
    return f"\\text{{{right}}}", same, other


def choices(random):
    right, wrong = random.sample("ABCDE", 2)
    number = random.randint(2, 99)
    same = [
        ("in parentheses", f"({right})"),
        ("text", f"\\text{{{right}}}"),
        ("text in parentheses", f"\\text{{({right})}}"),
        ("with its value", f"\\textbf{{({right})}}\\ {number}"),
        ("a point", f"{right}."),
        ("a small letter", right.lower()),
        ("mathrm", f"\\mathrm{{({right})}}"),
        ("a word before", f"\\text{{Option {right}}}"),
        ("a parenthesis", f"{right})"),
    ]
    other = [
        ("another letter", wrong),
        ("another in parentheses", f"({wrong})"),
        ("two letters", f"{right}, {wrong}"),
        ("another with a value", f"\\textbf{{({wrong})}}\\ {number}"),
        ("or", f"{wrong} \\text{{ or }} {right}"),
        ("in a word", f"\\text{{{'CABLE' if right in 'CABLE' else 'BADGE'}}}"),
        ("not", f"\\text{{not {right}}}"),
        ("another word before", f"\\text{{Option {wrong}}}"),
        ("all of them", "A, B, C, D, E"),
    ]
    return right, same, other


def roman(number):
    text = ""
    for value, letters in ROMAN:
        while number >= value:
            text, number = text + letters, number - value
    return text


def letters_in_a_row(random):
    case = random.randrange(4)
    if case == 0:
        order = random.sample("ABCDE", random.randint(3, 5))
        wrong = order[:]
        while wrong == order:
            random.shuffle(wrong)
        text, wrong = "".join(order), "".join(wrong)
        same = [("text", f"\\text{{{text}}}"), ("mathrm", f"\\mathrm{{{text}}}"), ("between dollar signs", f"${text}$")]
        other = [
            ("another order", wrong),
            ("another order, text", f"\\text{{{wrong}}}"),
            ("one missing", text[:-1]),
            ("turned around", text[::-1]),
        ]
        return text, same, other
    if case == 1:
        number = random.choice([number for number in range(4, 110) if len(roman(number)) > 2])
        text = roman(number)
        same = [("text", f"\\text{{{text}}}"), ("mathrm", f"\\mathrm{{{text}}}")]
        other = [
            ("another number", roman(number + 1)),
            ("two more", f"\\text{{{roman(number + 2)}}}"),
            ("two less", roman(number - 2)),
            ("a letter more", text + "I"),
        ]
        exchanged = text[:-2] + text[-1] + text[-2]
        if exchanged != text:
            other += [("letters exchanged", exchanged)] * 3
        return text, same, other
    one, two, three, four = random.sample(LETTERS, 4)
    if case == 2:
        same = [
            ("turned around", f"\\angle {three}{two}{one}"),
            ("the sign ∠", f"∠{one}{two}{three}"),
            ("braces", f"\\angle{{{one}{two}{three}}}"),
        ]
        other = [
            ("another corner", f"\\angle {two}{one}{three}"),
            ("the third corner", f"\\angle {one}{three}{two}"),
            ("another letter", f"\\angle {one}{two}{four}"),
            ("a triangle", f"\\triangle {one}{two}{three}"),
            ("the sign ∠, another corner", f"∠{two}{three}{one}"),
        ]
        return f"\\angle {one}{two}{three}", same, other
    index, name = random.choice(["ij", "mn", "pq", "12", "13", "21"]), random.choice("abcdxyzTFK")
    turned = index[::-1]
    same = [
        ("a space", f"{name} _{{{index}}}"),
        ("braces", f"{{{name}}}_{{{index}}}"),
        ("between dollar signs", f"${name}_{{{index}}}$"),
        ("mathit", f"\\mathit{{{name}}}_{{{index}}}"),
    ]
    other = [
        ("the index turned around", f"{name}_{{{turned}}}"),
        ("half of the index", f"{name}_{{{index[0]}}}"),
        ("a power", f"{name}^{{{index}}}"),
        ("another name", f"w_{{{index}}}"),
        ("turned around and without braces", f"{name}_{turned[0]}{turned[1]}"),
    ]
    return f"{name}_{{{index}}}", same, other


def decorated(random):
    value = random.choice([random.randint(2, 9999), -random.randint(2, 99), proper(random)])
    right, wrong = fraction(value), fraction(value + 1)

    def with_decoration(text):
        return [
            ("a colour", f"\\textcolor{{red}}{{{text}}}"),
            ("a colour for all", f"\\color{{blue}} {text}"),
            ("a size", f"\\Large {text}"),
            ("displaystyle", f"\\displaystyle {text}"),
            ("bold", f"\\mathbf{{{text}}}"),
            ("boldsymbol", f"\\boldsymbol{{{text}}}"),
            ("aligned", f"\\begin{{aligned}} {text} \\end{{aligned}}"),
            ("a second box", f"\\boxed{{{text}}}"),
            ("a name", f"x = {text}"),
            ("stars", f"**{text}**"),
            ("dollar signs", f"$${text}$$"),
            ("brackets of a formula", f"\\({text}\\)"),
            ("a quad", f"\\quad {text} \\quad"),
            ("a point", f"{text}."),
            ("a tilde", f"~{text}"),
            ("underlined", f"\\underline{{{text}}}"),
            ("a label", f"\\text{{Answer: }} {text}"),
            ("a phantom", f"\\phantom{{0}}{text}"),
            ("an array", f"\\begin{{array}}{{c}} {text} \\end{{array}}"),
            ("a limit", f"\\lim_{{n \\to \\infty}} a_n = {text}"),
        ]

    return (
        right,
        with_decoration(right),
        with_decoration(wrong)
        + [
            ("a sign before", f"-\\textcolor{{red}}{{{right}}}"),
            ("struck out", f"\\cancel{{{right}}} {wrong}"),
            ("text before", f"\\text{{not }} {right}"),
        ],
    )


def sentences(random):
    right = random.randint(3, 999)
    wrong = right + random.choice([-1, 1, 10])
    same = [
        ("a box at the end", f"We add both. So the answer is $\\boxed{{{right}}}$."),
        ("the final answer is", f"The final answer is ${right}$. I hope it is correct."),
        ("a bold answer", f"**Answer:** {right}"),
        ("an answer line", f"So we are done.\n\nAnswer: {right}"),
        ("a corrected box", f"First I had \\boxed{{{wrong}}}. No, it is \\boxed{{{right}}}."),
        ("thinking before", f"<think>Is it {wrong}? No.</think>The answer is \\boxed{{{right}}}."),
        ("a formula at the end", f"Therefore $x = {right}$."),
        ("four signs", f"Adding gives {right}.\n#### {right}"),
        ("a displayed box", f"Hence\n\\[ x = \\boxed{{{right}}} \\]"),
        ("not one but the other", f"The answer is not {wrong} but {right}."),
        ("a unit in the sentence", f"The answer is {right} apples."),
        ("a bold number", f"The answer is **{right}**."),
        ("a capital beginning", f"ANSWER: {right}"),
        ("tags", f"<think>Adding.</think><answer>{right}</answer>"),
    ]
    other = [
        ("incorrect", f"The answer {right} is incorrect."),
        ("is incorrect, in a box", f"\\boxed{{{right} \\text{{ is incorrect}}}}"),
        ("not", f"\\boxed{{{wrong}\\text{{, not }}{right}}}"),
        ("half of", f"\\boxed{{\\text{{half of }}{right}}}"),
        ("minus", f"\\boxed{{\\text{{minus }}{right}}}"),
        ("a wrong box after it", f"It is \\boxed{{{right}}}. No: \\boxed{{{wrong}}}."),
        ("only in the thinking", f"<think>Is it \\boxed{{{right}}}?</think>The answer is \\boxed{{{wrong}}}."),
        ("thinking without end", f"<think>Maybe \\boxed{{{right}}}, let me check"),
        ("or", f"The answer is \\boxed{{{right} \\text{{ or }} {wrong}}}."),
        ("less than", f"\\boxed{{\\text{{less than }}{right}}}"),
        ("about", f"\\boxed{{\\text{{between }}{right}\\text{{ and }}{right + 9}}}"),
        ("an empty box", f"The answer is {right}, so \\boxed{{}}."),
        ("not one but the other", f"The answer is not {right} but {wrong}."),
        ("cannot be", f"The answer cannot be {right}."),
        ("would be wrong", f"An answer of {right} would be wrong."),
        ("neither", f"The answer is neither {right} nor {wrong}."),
        ("twice", f"\\boxed{{\\text{{twice }}{right}}}"),
        ("more than", f"The answer is more than {right}."),
        ("a doubt", f"\\boxed{{{right}\\text{{ is not the answer}}}}"),
        ("a factorial", f"\\boxed{{{right}!}}"),
        ("corrected later", f"The answer is {right}. Wait, I made a mistake. The answer is {wrong}."),
        ("everything but", f"\\boxed{{\\text{{everything but }}{right}}}"),
        ("a denied tag", f"<answer>not {right}</answer>"),
        ("answer is not", f"The final answer is not {right}."),
    ]
    return str(right), same, other


NAMED = {
    "\\text{DNE}": (["\\text{does not exist}", "DNE", "\\text{Does not exist}", "\\text{D.N.E.}"], "\\infty"),
    "\\infty": (["+\\infty", "∞", "\\text{infinity}", "\\infty."], "-\\infty"),
    "-\\infty": (["-∞", "\\text{negative infinity}", "- \\infty"], "\\infty"),
    "\\emptyset": (["\\varnothing", "∅", "\\{\\}", "\\text{no solution}", "\\text{the empty set}"], "\\{0\\}"),
    "\\mathbb{R}": (
        ["(-\\infty, \\infty)", "\\text{all real numbers}", "ℝ", "\\mathbf{R}", "x \\in \\mathbb{R}"],
        "\\mathbb{Z}",
    ),
    "\\mathbb{Z}": (["ℤ", "\\text{all integers}", "\\mathbf{Z}"], "\\mathbb{R}"),
    "\\pi": (["π", "\\text{pi}", "{\\pi}", "1\\pi"], "\\phi"),
    "e": (["e^1", "\\mathrm{e}", "\\exp(1)"], "2.7"),
    "\\text{undefined}": (["\\text{Undefined}", "undefined", "\\text{UNDEFINED}"], "0"),
    "\\text{no solution}": (
        ["\\text{no solutions}", "\\emptyset", "no solution", "\\text{No Solution}"],
        "\\text{one solution}",
    ),
    "\\text{infinitely many}": (
        ["\\text{Infinitely many}", "infinitely many", "\\text{infinitely many.}"],
        "\\text{finitely many}",
    ),
    "0": (["\\text{zero}", "0.0", "-0", "\\frac{0}{5}"], "\\emptyset"),
}


def named_answers(random):
    answer = random.choice(list(NAMED))
    same, wrong = NAMED[answer]
    number = random.randint(1, 99)
    elsewhere = random.choice([name for name in NAMED if name not in (answer, "\\emptyset", "\\text{no solution}")])
    same = [
        (form, text.format(writing))
        for writing in same
        for form, text in [("another name", "{}"), ("dollar signs", "${}$"), ("braces", "{{{}}}")]
    ]
    other = [
        ("its neighbour", wrong),
        ("a number", str(number)),
        ("not", f"\\text{{not }}{answer}"),
        ("another name's", elsewhere),
        ("in a set with a number", f"\\{{{answer}, {number}\\}}"),
    ]
    return answer, same, other


KINDS = [
    ("words", words),
    ("choices", choices),
    ("letters in a row", letters_in_a_row),
    ("decorated answers", decorated),
    ("sentences", sentences),
    ("named answers", named_answers),
]
