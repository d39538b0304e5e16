"""Numbers: whole, decimal, fractions, scientific, repeating, roots, logarithms, complex, in other bases."""

from fractions import Fraction
from math import comb, factorial

WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen".split()
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def fraction(value, command="frac"):
    """`-\\frac{1}{2}`; a whole number as it is."""
    value = Fraction(value)
    if value.denominator == 1:
        return str(value)
    return f"{'-' if value < 0 else ''}\\{command}{{{abs(value.numerator)}}}{{{value.denominator}}}"


def decimal(thousandths):
    """The shortest decimal of so many thousandths."""
    digits = f"{abs(thousandths):04d}"
    text = f"{digits[:-3]}.{digits[-3:]}".rstrip("0").rstrip(".")
    return ("-" if thousandths < 0 else "") + text


def proper(random, largest=30):
    """A fraction that is not whole."""
    while True:
        value = Fraction(random.randint(1, largest), random.randint(2, largest))
        if value.denominator > 1:
            return value


def integers(random):
    value = random.choice([1, -1]) * random.randint(1000, 9_999_999)
    grouped = f"{value:,}"
    same = [
        ("a comma between groups", grouped),
        ("{,} between groups", grouped.replace(",", "{,}")),
        ("a thin space between groups", grouped.replace(",", r"\,")),
        ("point zero", f"{value}.0"),
        ("between dollar signs", f"${value}$"),
        ("a product", f"{value * 7} / 7"),
        ("a sum", f"{value - 58} + 58"),
    ]
    digits = str(abs(value))
    other = [
        ("one more", f"{value + 1}"),
        ("the other sign", f"{-value}"),
        ("ten times", f"{value}0"),
        ("the last group missing", grouped[:-4]),
        ("two numbers", f"{value}, {value + 3}"),
        ("an alternative", f"{value} \\text{{ or }} {value + 2}"),
        ("a part more", f"{value}.4"),
        ("a digit missing", f"{'-' if value < 0 else ''}{digits[:1]}{digits[2:]}"),
    ]
    return str(value), same, other


def decimals(random):
    value = random.choice([1, -1]) * random.randint(1, 99_999)
    while value % 10 == 0:
        value += 1
    answer = decimal(value)
    same = [
        ("zeros at the end", answer + "00"),
        ("a fraction", fraction(Fraction(value, 1000))),
        ("thousandths", f"{value}/1000"),
        ("a power of ten", f"{value} \\times 10^{{-3}}"),
    ]
    if abs(value) < 1000:
        same.append(("no zero before the point", answer.replace("0.", ".", 1)))
    other = [
        ("the last digit", decimal(value + random.choice([-1, 1]))),
        ("the other sign", decimal(-value)),
        ("ten times", decimal(10 * value)),
        ("no point", answer.replace("-0.", "-").replace(".", "").lstrip("0")),
        ("only the whole part", answer.split(".")[0]),
    ]
    return answer, same, [(form, text) for form, text in other if text not in ("", "-", answer)]


def fractions(random):
    value = random.choice([1, -1]) * proper(random, 60)
    top, bottom, times = value.numerator, value.denominator, random.randint(2, 9)
    same = [
        ("with a slash", f"{top}/{bottom}"),
        ("dfrac", fraction(value, "dfrac")),
        ("not reduced", f"\\frac{{{top * times}}}{{{bottom * times}}}"),
        ("the sign in the numerator", f"\\frac{{{top}}}{{{bottom}}}"),
        ("both signs exchanged", f"\\frac{{{-top}}}{{{-bottom}}}"),
        ("a sum", f"{fraction(value - 2)} + 2"),
        ("a product with an inverse", f"{top} \\cdot {bottom}^{{-1}}"),
    ]
    other = [
        ("turned over", fraction(1 / value)),
        ("one more above", fraction(Fraction(top + 1, bottom))),
        ("one more below", fraction(Fraction(top, bottom + 1))),
        ("the other sign", fraction(-value)),
        ("a ratio of two", f"{top}, {bottom}"),
        ("only the numerator", f"{top}"),
        ("rounded to one place", decimal(round(10 * value) * 100)),
    ]
    return (
        fraction(value),
        same,
        [(form, text) for form, text in other if form != "rounded to one place" or Fraction(text) != value],
    )


def mixed_numbers(random):
    whole, part = random.randint(2, 20), proper(random, 12) % 1
    value = whole + part
    answer = f"{whole}{fraction(part)}"
    same = [
        ("improper", fraction(value)),
        ("a space", f"{whole} {part}"),
        ("a sum", f"{whole} + {fraction(part)}"),
        ("improper with a slash", str(value)),
        ("dfrac", f"{whole}\\dfrac{{{part.numerator}}}{{{part.denominator}}}"),
        ("and", f"{whole} \\text{{ and }} {part}"),
    ]
    other = [
        ("the product", fraction(whole * part)),
        ("one more", f"{whole + 1}{fraction(part)}"),
        ("the other fraction", f"{whole}{fraction(1 - part)}"),
        ("only the fraction", fraction(part)),
        ("turned over", fraction(1 / value)),
        ("negative", f"-{answer}"),
    ]
    return answer, same, [(form, text) for form, text in other if text != answer]


def scientific(random):
    mantissa, exponent = random.randint(11, 99), random.choice([-7, -6, -5, -4, 4, 5, 6, 7, 8, 12, 23])
    shown = decimal(100 * mantissa)
    value = Fraction(mantissa, 10) * Fraction(10) ** exponent
    plain = str(value) if value.denominator == 1 else f"{float(value):.{1 - exponent}f}"
    same = [
        ("e", f"{shown}e{exponent}"),
        ("E", f"{shown}E{exponent}"),
        ("cdot", f"{shown} \\cdot 10^{{{exponent}}}"),
        ("written out", plain),
        ("a whole mantissa", f"{mantissa} \\times 10^{{{exponent - 1}}}"),
        ("the sign × itself", f"{shown} × 10^{{{exponent}}}"),
        ("a star", f"{shown}*10^{{{exponent}}}"),
    ]
    other = [
        ("the next exponent", f"{shown} \\times 10^{{{exponent + 1}}}"),
        ("the exponent's sign", f"{shown} \\times 10^{{{-exponent}}}"),
        ("another mantissa", f"{decimal(100 * (mantissa + 3))} \\times 10^{{{exponent}}}"),
        ("negative", f"-{shown} \\times 10^{{{exponent}}}"),
        ("only the mantissa", shown),
    ]
    return f"{shown} \\times 10^{{{exponent}}}", same, other


def repeating_decimals(random):
    length = random.randint(1, 3)
    period = random.randint(1, 10**length - 2)
    digits, whole = f"{period:0{length}d}", random.randint(0, 9)
    value = whole + Fraction(period, 10**length - 1)
    answer = f"{whole}.\\overline{{{digits}}}"
    same = [
        ("a fraction", fraction(value)),
        ("the period twice", f"{whole}.\\overline{{{digits}{digits}}}"),
        ("in parentheses", f"{whole}.({digits})"),
        ("begun later", f"{whole}.{digits}\\overline{{{digits}}}"),
        ("with a slash", str(value)),
    ]
    other = [
        ("cut off", f"{whole}.{digits}"),
        ("another period", f"{whole}.\\overline{{{(period + 1):0{length}d}}}"),
        ("one place later", f"{whole}.0\\overline{{{digits}}}"),
        ("the whole part", str(whole + 1)),
        ("another whole part", f"{whole + 1}.\\overline{{{digits}}}"),
    ]
    return answer, same, other


def roots(random):
    outer, inner = random.randint(2, 9), random.choice([2, 3, 5, 6, 7, 10, 11, 13])
    inside, bottom = outer * outer * inner, random.randint(2, 9)
    if random.random() < 0.5:
        answer = f"{outer}\\sqrt{{{inner}}}"
        same = [
            ("all inside", f"\\sqrt{{{inside}}}"),
            ("without braces", f"{outer}\\sqrt {inner}" if inner < 10 else f"\\sqrt{{{inner}}} \\cdot {outer}"),
            ("a power", f"{inside}^{{1/2}}"),
            ("a product of roots", f"\\sqrt{{{outer * outer}}}\\sqrt{{{inner}}}"),
            ("the sign √", f"{outer}√{inner}"),
            ("a root below", f"\\frac{{{outer * inner}}}{{\\sqrt{{{inner}}}}}"),
            ("a higher root", f"\\sqrt[4]{{{inside * inside}}}"),
        ]
        other = [
            ("outside times inside", f"\\sqrt{{{outer * inner}}}"),
            ("exchanged", f"{inner}\\sqrt{{{outer}}}"),
            ("negative", f"-{answer}"),
            ("both signs", f"\\pm {answer}"),
            ("no root", f"{outer * inner}"),
            ("a cube root", f"{outer}\\sqrt[3]{{{inner}}}"),
            ("a sum", f"{outer}+\\sqrt{{{inner}}}"),
            ("rounded", f"{outer * inner**0.5:.1f}"),
        ]
        return answer, same, [(form, text) for form, text in other if text != answer]
    answer = f"\\frac{{{outer} + \\sqrt{{{inner}}}}}{{{bottom}}}"
    same = [
        ("the root first", f"\\frac{{\\sqrt{{{inner}}} + {outer}}}{{{bottom}}}"),
        ("in two fractions", f"\\frac{{{outer}}}{{{bottom}}} + \\frac{{\\sqrt{{{inner}}}}}{{{bottom}}}"),
        ("with a slash", f"({outer} + \\sqrt{{{inner}}})/{bottom}"),
        ("widened", f"\\frac{{{2 * outer} + \\sqrt{{{4 * inner}}}}}{{{2 * bottom}}}"),
    ]
    other = [
        ("the conjugate", f"\\frac{{{outer} - \\sqrt{{{inner}}}}}{{{bottom}}}"),
        ("only the root divided", f"{outer} + \\frac{{\\sqrt{{{inner}}}}}{{{bottom}}}"),
        ("both roots", f"\\frac{{{outer} \\pm \\sqrt{{{inner}}}}}{{{bottom}}}"),
        ("one more", f"\\frac{{{outer + 1} + \\sqrt{{{inner}}}}}{{{bottom}}}"),
    ]
    return answer, same, other


def logarithms(random):
    base, power, factor = random.choice([2, 3, 5, 6, 7]), random.randint(2, 5), random.choice([11, 13, 17, 19])
    answer = f"{power}\\ln {base} + \\ln {factor}"
    same = [
        ("one logarithm", f"\\ln {base**power * factor}"),
        ("a power inside", f"\\ln({base}^{power}) + \\ln({factor})"),
        ("turned around", f"\\ln({factor}) + {power}\\ln({base})"),
        ("a quotient", f"\\ln \\frac{{{factor}}}{{{base}^{{-{power}}}}}"),
        ("log to base e", f"\\log_e {base**power * factor}"),
        ("a change of base", f"\\frac{{\\log_{{2}} {base**power * factor}}}{{\\log_{{2}} e}}"),
    ]
    other = [
        ("a sum inside", f"\\ln({base**power + factor})"),
        ("a difference", f"{power}\\ln {base} - \\ln {factor}"),
        ("the power outside", f"{power}\\ln {base * factor}"),
        ("another base", f"\\log_2 {base**power * factor}"),
        ("no logarithm", f"{base**power * factor}"),
        ("a product", f"{power}\\ln {base} \\cdot \\ln {factor}"),
    ]
    return answer, same, other


def complex_numbers(random):
    real, imaginary = (random.choice([1, -1]) * random.randint(2, 12) for _ in "ab")
    left, right = random.randint(2, 5), random.randint(2, 5)

    def written(a, b):
        return f"{a} {'+' if b > 0 else '-'} {abs(b)}i"

    product = (left * real - right * imaginary, left * imaginary + right * real)
    if 0 in product or 1 in map(abs, product):
        return complex_numbers(random)
    same = [
        ("the imaginary part first", f"{product[1]}i {'+' if product[0] > 0 else '-'} {abs(product[0])}"),
        ("a product", f"({written(left, right)})({written(real, imaginary)})"),
        ("a dot", f"{product[0]} + ({product[1]}) \\cdot i"),
        ("a quotient", f"\\frac{{{written(product[1], -product[0])}}}{{-i}}"),
        ("in parentheses", f"({written(*product)})"),
    ]
    # (b - ai)/(-i) = i(b - ai) = a + bi
    other = [
        ("the conjugate", written(product[0], -product[1])),
        ("exchanged", written(product[1], product[0])),
        ("negative", written(-product[0], -product[1])),
        ("no i", f"{product[0] + product[1]}"),
        ("a pair", f"({product[0]}, {product[1]})"),
        ("x for i", written(*product).replace("i", "x")),
    ]
    return written(*product), same, [(form, text) for form, text in other if text != written(*product)]


def counts(random):
    top = random.randint(5, 12)
    bottom = random.randint(2, top - 2)
    value = comb(top, bottom)
    answer = f"\\binom{{{top}}}{{{bottom}}}"
    same = [
        ("the number", str(value)),
        ("the other side", f"\\binom{{{top}}}{{{top - bottom}}}"),
        ("factorials", f"\\frac{{{top}!}}{{{bottom}! \\cdot {top - bottom}!}}"),
        ("two terms", f"\\binom{{{top - 1}}}{{{bottom - 1}}} + \\binom{{{top - 1}}}{{{bottom}}}"),
        ("C of two", f"C({top}, {bottom})"),
        ("dbinom", f"\\dbinom{{{top}}}{{{bottom}}}"),
    ]
    other = [
        ("ordered", str(value * factorial(bottom))),
        ("the next", f"\\binom{{{top + 1}}}{{{bottom}}}"),
        ("a fraction", fraction(Fraction(top, bottom))),
        ("a pair", f"({top}, {bottom})"),
        ("one more", str(value + 1)),
        ("half a fraction", f"\\frac{{{top}!}}{{{bottom}!}}"),
    ]
    return answer, same, other


def other_bases(random):
    base = random.choice([2, 3, 5, 6, 7, 8])
    digits = "".join(str(random.randint(1 if place == 0 else 0, base - 1)) for place in range(random.randint(4, 7)))
    name = {2: "two", 3: "three", 5: "five", 6: "six", 7: "seven", 8: "eight"}[base]
    same = [
        ("braces", f"{digits}_{{{base}}}"),
        ("a word", f"{digits}_{{\\text{{{name}}}}}"),
        ("a zero before", f"0{digits}_{base}"),
        ("in parentheses", f"({digits})_{base}"),
    ]
    higher = {2: 3, 3: 4, 5: 6, 6: 7, 7: 8, 8: 9}[base]
    last = str((int(digits[-1]) + 1) % base)
    other = [
        ("another base", f"{digits}_{higher}"),
        ("the last digit", f"{digits[:-1]}{last}_{base}"),
        ("another digit more", f"{digits}0_{base}"),
    ]
    return f"{digits}_{base}", same, other


def spelled(value):
    """Up to 999,999 in words."""
    if value < 20:
        return WORDS[value]
    if value < 100:
        return TENS[value // 10 - 2] + (f"-{WORDS[value % 10]}" if value % 10 else "")
    if value < 1000:
        return f"{WORDS[value // 100]} hundred" + (f" {spelled(value % 100)}" if value % 100 else "")
    return f"{spelled(value // 1000)} thousand" + (f" {spelled(value % 1000)}" if value % 1000 else "")


def number_words(random):
    if random.random() < 0.5:
        value = random.randint(2, 999)
        other = [
            ("one more", f"\\text{{{spelled(value + 1)}}}"),
            ("thousands", f"\\text{{{spelled(value)} thousand}}"),
            ("minus", f"\\text{{minus {spelled(value)}}}"),
            ("half", f"\\text{{half of {spelled(value)}}}"),
        ]
        return (
            str(value),
            [
                ("in words", f"\\text{{{spelled(value)}}}"),
                ("without text", spelled(value)),
                ("with a capital", f"\\text{{{spelled(value).capitalize()}}}"),
            ],
            other,
        )
    value, name, zeros = random.randint(2, 99), *random.choice([("million", 6), ("billion", 9), ("thousand", 3)])
    whole = value * 10**zeros
    same = [
        ("a word after the digits", f"{value} \\text{{ {name}}}"),
        ("without text", f"{value} {name}"),
        ("with a decimal", f"{value}.0 \\text{{ {name}}}"),
    ]
    other = [
        ("no word", str(value)),
        ("another word", f"{value} \\text{{ {'trillion' if name != 'thousand' else 'million'}}}"),
        ("another number", f"{value + 1} \\text{{ {name}}}"),
        ("the inverse", f"{value} \\text{{ {name}ths}}"),
    ]
    return str(whole), same, other


def local_writings(random):
    whole, part = random.randint(1_000_000, 99_999_999), random.randint(11, 99)
    grouped = f"{whole:,}"
    answer = f"{grouped}.{part}"
    same = [
        ("points and a comma", f"{grouped.replace(',', '.')},{part}"),
        ("apostrophes", f"{grouped.replace(',', chr(39))}.{part}"),
        ("spaces and a comma", f"{grouped.replace(',', ' ')},{part}"),
        ("spaces", f"{grouped.replace(',', ' ')}.{part}"),
        ("no groups", f"{whole}.{part}"),
        ("negative thin spaces", f"{grouped.replace(',', chr(92) + '!,')}.{part}"),
    ]
    changed = f"{whole + 1000:,}"
    other = [
        ("points and a comma, another group", f"{changed.replace(',', '.')},{part}"),
        ("apostrophes, another group", f"{changed.replace(',', chr(39))}.{part}"),
        ("a comma, another part", f"{grouped.replace(',', ' ')},{part + 1 if part < 99 else 11}"),
        ("no point", f"{whole}{part}"),
        ("the part missing", grouped),
    ]
    return answer, same, other


def sums_and_products(random):
    last, factor = random.randint(4, 12), random.randint(1, 9)
    head = "" if factor == 1 else str(factor)
    total = factor * last * (last + 1) // 2
    answer = str(total)
    same = [
        ("a sum", f"\\sum_{{k=1}}^{{{last}}} {head}k"),
        ("another letter", f"\\sum_{{n=1}}^{{{last}}} {head}n"),
        ("begun at zero", f"\\sum_{{k=0}}^{{{last}}} {head}k"),
        ("turned around", f"\\sum_{{k=1}}^{{{last}}} {head}({last + 1}-k)"),
        ("written out", " + ".join(str(factor * at) for at in range(1, last + 1))),
        ("a formula", f"\\frac{{{factor} \\cdot {last}({last}+1)}}{{2}}"),
        ("a binomial", f"{head}\\binom{{{last + 1}}}{{2}}"),
    ]
    other = [
        ("one term more", f"\\sum_{{k=1}}^{{{last + 1}}} {head}k"),
        ("a product", f"\\prod_{{k=1}}^{{{last}}} {head}k"),
        ("squares", f"\\sum_{{k=1}}^{{{last}}} {head}k^2"),
        ("one term less", f"\\sum_{{k=2}}^{{{last}}} {head}k"),
        ("a constant", f"\\sum_{{k=1}}^{{{last}}} {factor}"),
        ("an infinite sum", f"\\sum_{{k=1}}^{{\\infty}} {head}k"),
        ("an integral", f"\\int_{{1}}^{{{last}}} {head}k \\, dk"),
    ]
    return answer, same, other


KINDS = [
    ("integers", integers),
    ("decimals", decimals),
    ("fractions", fractions),
    ("mixed numbers", mixed_numbers),
    ("scientific notation", scientific),
    ("repeating decimals", repeating_decimals),
    ("roots", roots),
    ("logarithms", logarithms),
    ("complex numbers", complex_numbers),
    ("binomials and factorials", counts),
    ("other bases", other_bases),
    ("numbers in words", number_words),
    ("groups and commas of other countries", local_writings),
    ("sums and products", sums_and_products),
]
