"""Quantities: percentages, units, money, angles, dates, times of day, ratios."""

import datetime
from fractions import Fraction

from .number import decimal, fraction

# Symbol, name, and how many of the base unit it is.
LENGTH = [("mm", "millimeters", -3), ("cm", "centimeters", -2), ("m", "meters", 0), ("km", "kilometers", 3)]
MASS = [("mg", "milligrams", -3), ("g", "grams", 0), ("kg", "kilograms", 3)]
DURATION = [("ns", "nanoseconds", -9), ("ms", "milliseconds", -3), ("s", "seconds", 0)]
FORCE = [("N", "newtons", 0), ("kN", "kilonewtons", 3), ("MN", "meganewtons", 6)]
FREQUENCY = [("Hz", "hertz", 0), ("kHz", "kilohertz", 3), ("MHz", "megahertz", 6), ("GHz", "gigahertz", 9)]
VOLUME = [("mL", "milliliters", -3), ("L", "liters", 0)]
DIMENSIONS = [LENGTH, MASS, DURATION, FORCE, FREQUENCY, VOLUME]
THINGS = [
    "apples",
    "pears",
    "wins",
    "losses",
    "boys",
    "girls",
    "dogs",
    "cats",
    "eighths",
    "sixths",
    "red balls",
    "blue balls",
]
MONTHS = "January February March April May June July August September October November December".split()


def percentages(random):
    tenths = random.choice([10, 5, 2]) * random.randint(1, 99)
    shown = decimal(100 * tenths)
    same = [
        ("the sign itself", f"{shown}%"),
        ("a decimal", decimal(tenths)),
        ("a fraction", fraction(Fraction(tenths, 1000))),
        ("a word", f"{shown}\\text{{ percent}}"),
        ("a space", f"{shown}\\ \\%"),
        ("zeros at the end", f"{decimal(100 * tenths)}{'0' if '.' in shown else '.0'}\\%"),
    ]
    other = [
        ("one more", f"{decimal(100 * tenths + 1000)}\\%"),
        ("a tenth", f"{decimal(10 * tenths)}\\%"),
        ("a hundredth", f"{fraction(Fraction(tenths, 1000))}\\%"),
        ("negative", f"-{shown}\\%"),
        ("the rest", f"{decimal(100_000 - 100 * tenths)}\\%"),
        ("points of a thousand", f"{shown}‰"),
    ]
    return f"{shown}\\%", same, [(form, text) for form, text in other if text != f"{shown}\\%"]


def units(random):
    if random.random() < 0.3:
        number = random.randint(2, 90)
        one, two = random.sample(THINGS, 2)
        same = [
            ("without text", f"{number} {one}"),
            ("mathrm", f"{number}\\ \\mathrm{{{one}}}".replace(" balls", "\\ balls")),
            ("a sentence's point", f"{number}\\text{{ {one}}}."),
        ]
        other = [
            ("other things", f"{number}\\text{{ {two}}}"),
            ("one more", f"{number + 1}\\text{{ {one}}}"),
            ("other things without text", f"{number} {two}"),
        ]
        return f"{number}\\text{{ {one}}}", same, other
    dimension = random.choice(DIMENSIONS)
    (symbol, name, power), (other_symbol, other_name, other_power) = random.sample(dimension, 2)
    number = random.randint(2, 990)
    converted = number * Fraction(10) ** (power - other_power)
    shown = (
        str(converted)
        if converted.denominator == 1
        else f"{float(converted):.{3 + abs(power - other_power)}f}".rstrip("0")
    )
    elsewhere = random.choice(random.choice([one for one in DIMENSIONS if one is not dimension]))
    same = [
        ("without text", f"{number} {symbol}"),
        ("mathrm", f"{number}~\\mathrm{{{symbol}}}"),
        ("the name", f"{number}\\text{{ {name}}}"),
        ("a decimal", f"{number}.0\\text{{ {symbol}}}"),
        ("in the other unit", f"{shown}\\text{{ {other_symbol}}}"),
    ]
    other = [
        ("the other unit", f"{number}\\text{{ {other_symbol}}}"),
        ("the other name", f"{number}\\text{{ {other_name}}}"),
        ("another dimension", f"{number}\\text{{ {elsewhere[0]}}}"),
        ("squared", f"{number}\\text{{ {symbol}}}^2"),
        ("one more", f"{number + 1}\\text{{ {symbol}}}"),
        ("the other unit, mathrm", f"{number}\\ \\mathrm{{{other_symbol}}}"),
        ("without text, the other unit", f"{number} {other_symbol}"),
        ("per second", f"{number}\\text{{ {symbol}/s}}"),
    ]
    return f"{number}\\text{{ {symbol}}}", same, other


def money(random):
    cents = random.randint(110, 99_900)
    shown = f"{cents // 100}.{cents % 100:02d}"
    same = [
        ("the word", f"{shown}\\text{{ dollars}}"),
        ("no backslash", f"${shown}$" if cents % 2 else f"\\$ {shown}"),
        ("cents", f"{cents}\\text{{ cents}}"),
        ("USD", f"{shown}\\text{{ USD}}"),
        ("in text", f"\\text{{\\${shown}}}"),
        ("no sign", shown),
    ]
    other = [
        ("euros", f"€{shown}"),
        ("a cent more", f"\\${(cents + 1) // 100}.{(cents + 1) % 100:02d}"),
        ("pounds", f"£{shown}"),
        ("cents", f"{shown}\\text{{ cents}}"),
        ("a debt", f"-\\${shown}"),
        ("thousands", f"\\${shown}\\text{{ thousand}}"),
        ("euros in words", f"{shown}\\text{{ euros}}"),
        ("no point", f"\\${cents}"),
    ]
    return f"\\${shown}", same, other


def angles(random):
    degrees, minutes = random.randint(10, 170), random.choice([0, 0, 6, 12, 15, 30, 45])
    value = degrees + Fraction(minutes, 60)
    answer = f"{degrees}^\\circ {minutes}'" if minutes else f"{degrees}^\\circ"
    shown = decimal(int(value * 1000))
    same = [
        ("the sign °", f"{shown}°"),
        ("a word", f"{shown}\\text{{ degrees}}"),
        ("braces", f"{shown}^{{\\circ}}"),
        ("in radians", f"{fraction(value / 180)}\\pi"),
        ("the command", f"{shown}\\degree"),
    ]
    if minutes:
        same += [
            ("signs of minutes", f"{degrees}°{minutes}′"),
            ("words", f"{degrees}\\text{{ degrees }}{minutes}\\text{{ minutes}}"),
            ("an improper number of minutes", f"{degrees - 1}^\\circ {minutes + 60}'"),
        ]
    other = [
        ("one more", f"{decimal(int(value * 1000) + 1000)}^\\circ"),
        ("radians", f"{shown}\\text{{ radians}}"),
        ("only minutes", f"{degrees}'"),
        ("the supplement", f"{decimal(180_000 - int(value * 1000))}^\\circ"),
        ("another minute", f"{degrees}^\\circ {minutes + 1}'"),
        ("a temperature", f"{shown}^\\circ\\text{{C}}"),
        ("negative", f"-{shown}^\\circ"),
    ]
    return answer, same, [(form, text) for form, text in other if value != 90 or form != "the supplement"]


def ordinal(day):
    return f"{day}{'th' if day in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def dates(random):
    date = datetime.date(random.randint(1800, 2060), random.randint(1, 12), random.randint(1, 28))
    month = MONTHS[date.month - 1]
    wrong_month = MONTHS[date.month % 12]
    same = [
        ("the day first", f"{date.day} {month} {date.year}"),
        ("ISO 8601", date.isoformat()),
        ("a short month", f"\\text{{{month[:3]} {date.day}, {date.year}}}"),
        ("an ordinal", f"\\text{{{month} {ordinal(date.day)}, {date.year}}}"),
        ("of", f"\\text{{{ordinal(date.day)} of {month} {date.year}}}"),
        ("without text", f"{month} {date.day}, {date.year}"),
        ("no comma", f"\\text{{{month} {date.day} {date.year}}}"),
    ]
    other = [
        ("another day", f"\\text{{{month} {date.day % 28 + 1}, {date.year}}}"),
        ("another month", f"\\text{{{wrong_month} {date.day}, {date.year}}}"),
        ("another year", f"\\text{{{month} {date.day}, {date.year + 1}}}"),
        ("another day, ISO 8601", date.replace(day=date.day % 28 + 1).isoformat()),
        ("another month, without text", f"{date.day} {wrong_month} {date.year}"),
        ("the year", f"{date.year}"),
        ("another year, ISO 8601", date.replace(year=date.year - 1).isoformat()),
    ]
    return f"\\text{{{month} {date.day}, {date.year}}}", same, other


def times_of_day(random):
    hour, minute = random.randint(1, 12), random.randint(0, 59)
    half, hours = random.choice([("AM", hour % 12), ("PM", hour % 12 + 12)])
    dotted = half.lower()[0] + ".m."
    other_half, other_hours = ("PM", hour % 12 + 12) if half == "AM" else ("AM", hour % 12)
    same = [
        ("24 hours", f"{hours:02d}:{minute:02d}"),
        ("small letters", f"{hour}:{minute:02d}\\text{{ {half.lower()}}}"),
        ("points", f"{hour}:{minute:02d}\\text{{ {dotted}}}"),
        ("all text", f"\\text{{{hour}:{minute:02d} {half}}}"),
        ("two digits", f"{hour:02d}:{minute:02d} \\text{{ {half}}}"),
        ("no space", f"{hour}:{minute:02d}{half}"),
    ]
    other = [
        ("the other half", f"{hour}:{minute:02d}\\text{{ {other_half}}}"),
        ("another minute", f"{hour}:{(minute + 1) % 60:02d}\\text{{ {half}}}"),
        ("another hour", f"{(hour + 4) % 12 + 1}:{minute:02d}\\text{{ {half}}}"),
        ("24 hours, another minute", f"{hours:02d}:{(minute + 7) % 60:02d}"),
    ]
    # `11:07` may leave out the half of the day of 11:07 PM.
    if other_hours == 0 or other_hours > 12:
        other.append(("24 hours, the other half", f"{other_hours:02d}:{minute:02d}"))
    return f"{hour}:{minute:02d}\\text{{ {half}}}", same, other


def ratios(random):
    one, two, three = random.sample([2, 3, 5, 7, 11, 13, 17, 19, 23], 3)
    if random.random() < 0.5:
        same = [
            ("spaces", f"{one} : {two}"),
            ("colon", f"{one} \\colon {two}"),
            ("to", f"{one}\\text{{ to }}{two}"),
            ("dollar signs", f"${one}:{two}$"),
            ("decimals", f"{one}.0:{two}.0"),
            ("to, without text", f"{one} to {two}"),
        ]
        other = [
            ("exchanged", f"{two}:{one}"),
            ("another", f"{one}:{three}"),
            ("three parts", f"{one}:{two}:{three}"),
            ("one more", f"{one + 1}:{two}"),
            ("exchanged, in words", f"{two}\\text{{ to }}{one}"),
            ("a pair", f"{one},{two}"),
        ]
        return f"{one}:{two}", same, other
    same = [
        ("spaces", f"{one} : {two} : {three}"),
        ("to", f"{one}\\text{{ to }}{two}\\text{{ to }}{three}"),
        ("colon", f"{one}\\colon {two}\\colon {three}"),
    ]
    other = [
        ("turned around", f"{three}:{two}:{one}"),
        ("exchanged", f"{one}:{three}:{two}"),
        ("two parts", f"{one}:{two}"),
        ("one more", f"{one}:{two}:{three + 1}"),
        ("a quotient", fraction(Fraction(one, two * three))),
    ]
    return f"{one}:{two}:{three}", same, other


COMPOUND = [
    ("m/s", "\\frac{\\text{m}}{\\text{s}}", "m\\,s^{-1}", "meters per second", "s/m"),
    ("m/s^2", "\\frac{\\text{m}}{\\text{s}^2}", "m\\,s^{-2}", "meters per second squared", "m/s"),
    ("km/h", "\\frac{\\text{km}}{\\text{h}}", "km\\,h^{-1}", "kilometers per hour", "km/s"),
    ("g/cm^3", "\\frac{\\text{g}}{\\text{cm}^3}", "g\\,cm^{-3}", "grams per cubic centimeter", "g/cm^2"),
    ("N/m", "\\frac{\\text{N}}{\\text{m}}", "N\\,m^{-1}", "newtons per meter", "N m"),
    ("J/K", "\\frac{\\text{J}}{\\text{K}}", "J\\,K^{-1}", "joules per kelvin", "kJ/K"),
    ("kg/m^3", "\\frac{\\text{kg}}{\\text{m}^3}", "kg\\,m^{-3}", "kilograms per cubic meter", "g/m^3"),
]


def compound_units(random):
    number = random.randint(2, 990)
    symbol, quotient, powers, name, wrong = random.choice(COMPOUND)
    base, _, power = symbol.partition("^")
    shown = f"{number}\\text{{ {base}}}" + (f"^{power}" if power else "")
    same = [
        ("a fraction", f"{number}\\ {quotient}"),
        ("negative powers", f"{number}\\ \\mathrm{{{powers}}}"),
        ("in words", f"{number}\\text{{ {name}}}"),
        ("without text", f"{number} {symbol}"),
        ("mathrm", f"{number}\\,\\mathrm{{{symbol}}}"),
        ("a decimal", shown.replace(str(number), f"{number}.0", 1)),
    ]
    other = [
        ("another unit", f"{number}\\text{{ {wrong}}}"),
        ("another unit, mathrm", f"{number}\\ \\mathrm{{{wrong}}}"),
        ("one more", shown.replace(str(number), str(number + 1), 1)),
        ("only the first unit", f"{number}\\text{{ {symbol.partition('/')[0]}}}"),
        ("a tenth", shown.replace(str(number), decimal(100 * number), 1)),
    ]
    return shown, same, other


def changes(random):
    share = random.randint(2, 95)
    right, wrong = random.choice(
        [("increase", "decrease"), ("decrease", "increase"), ("profit", "loss"), ("gain", "loss")]
    )
    answer = f"{share}\\% \\text{{ {right}}}"
    same = [
        ("all text", f"\\text{{{share}\\% {right}}}"),
        ("a word for the sign", f"{share}\\text{{ percent {right}}}"),
        ("without text", f"{share}% {right}"),
        ("a decimal", f"{share}.0\\%\\text{{ {right}}}"),
        ("an article", f"\\text{{a }}{share}\\%\\text{{ {right}}}"),
    ]
    other = [
        ("the opposite", f"{share}\\% \\text{{ {wrong}}}"),
        ("the opposite without text", f"{share}% {wrong}"),
        ("one more", f"{share + 1}\\% \\text{{ {right}}}"),
        ("no change", f"\\text{{no {right}}}"),
        ("only the word", f"\\text{{{right}}}"),
        ("the opposite in text", f"\\text{{a {share}\\% {wrong}}}"),
        ("not per cent", f"{share}\\text{{ times {right}}}"),
    ]
    return answer, same, other


KINDS = [
    ("percentages", percentages),
    ("units", units),
    ("money", money),
    ("angles", angles),
    ("dates", dates),
    ("times of day", times_of_day),
    ("ratios", ratios),
    ("compound units", compound_units),
    ("changes", changes),
]
