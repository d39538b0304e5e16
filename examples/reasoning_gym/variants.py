"""Answers made from a right one: other ways to write it, and answers that are nearly it.

Each function takes the right answer as their dataset writes it, the entry, another entry's answer and a random stream,
and yields `(name, text)`. Names carry no claim about who should accept them: that is what the comparison shows.
"""
import json
import re


def for_all(gold, entry, other, rng):
    yield "empty", ""
    yield "blank", "   "
    yield "no answer", "I do not know"
    yield "answer of another question", other
    yield "spaces around", f"  {gold} "
    yield "a sentence around", f"The answer is {gold}."
    yield "two answers", f"{gold} or {other}"
    yield "repeated", f"{gold} {gold}"
    yield "a word behind", f"{gold} apples"
    yield "full stop", gold.rstrip(".") + "."
    yield "no full stop", gold.rstrip(".")
    yield "quotes", f'"{gold}"'
    yield "dollars", f"${gold}$"
    yield "boxed", f"\\boxed{{{gold}}}"
    yield "bold", f"**{gold}**"
    yield "equals before", f"= {gold}"
    yield "in brackets", f"({gold})"
    yield "upper case", gold.upper()
    yield "lower case", gold.lower()
    yield "cut", gold[:-1]
    yield "zero byte", gold + "\0"


def change_digit(text, rng):
    """One digit becomes another."""
    places = [found.start() for found in re.finditer(r"[0-9]", text)]
    if not places:
        return text
    at = rng.choice(places)
    return text[:at] + rng.choice([digit for digit in "0123456789" if digit != text[at]]) + text[at + 1 :]


def number(gold, entry, other, rng):
    yield "a digit changed", change_digit(gold, rng)
    yield "a digit more", gold + "1"
    yield "sign turned", gold[1:] if gold.startswith("-") else "-" + gold
    yield "digits backward", gold[::-1]
    yield "zero in front", re.sub(r"^(-?)", r"\g<1>0", gold)
    yield "plus in front", gold if gold.startswith("-") else "+" + gold
    yield "minus sign U+2212", gold.replace("-", "\u2212")
    yield "Arabic digits", gold.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    yield "x = before", f"x = {gold}"
    yield "x= before", f"x={gold}"
    yield "its question", entry["metadata"].get("expression") or entry["question"].splitlines()[-1]
    yield "base prefix", "0x" + gold
    try:
        value = float(gold)
    except ValueError:
        return
    if "." in gold:
        yield "zero behind the places", gold + "0"
        yield "last place off by one", gold[:-1] + ("1" if gold[-1] == "0" else str(int(gold[-1]) - 1))
        return
    yield "places of zero", gold + ".0"
    yield "point behind", gold + "."
    yield "a half more", gold + ".5"
    yield "a millionth more", gold + ".000001"
    yield "one more", str(int(gold) + 1)
    yield "one less", str(int(gold) - 1)
    yield "thousands", f"{int(gold):,}"
    yield "thousands misplaced", gold[:1] + "," + gold[1:]
    yield "power of ten", f"{value:.20e}"
    yield "fraction", f"{2 * int(gold)}/2"
    yield "sum", f"{int(gold) - 1}+1"
    yield "underscore", gold[:1] + "_" + gold[1:]


def split_list(gold):
    return [part.strip() for part in gold.split(",")]


def words(gold, entry, other, rng):
    parts = split_list(gold)
    yield "commas without spaces", ",".join(parts)
    yield "spaces only", " ".join(parts)
    yield "lines", "\n".join(parts)
    yield "semicolons", "; ".join(parts)
    yield "brackets", "[" + ", ".join(parts) + "]"
    yield "JSON", json.dumps(parts)
    yield "Python list", str(parts)
    yield "comma behind", gold + ","
    yield "backward", ", ".join(parts[::-1])
    swapped = parts[1::-1] + parts[2:]
    yield "first two swapped", ", ".join(swapped)
    yield "one dropped", ", ".join(parts[:-1])
    yield "one twice", ", ".join(parts + parts[-1:])
    yield "unsorted", ", ".join(map(str, entry["metadata"].get("transformed_words", parts[::-1])))
    yield "glued", "".join(parts)


def strings(gold, entry, other, rng):
    parts = [part.strip(" '[]") for part in gold.split(",")]
    quoted = lambda parts: str(list(parts))
    yield "no quotes", "[" + ", ".join(parts) + "]"
    yield "plain", ", ".join(parts)
    yield "spaces only", " ".join(parts)
    yield "JSON", json.dumps(parts)
    yield "whole numbers", quoted(str(int(float(part))) for part in parts)
    yield "places of zero", quoted(part + "0" for part in parts)
    yield "backward", quoted(parts[::-1])
    yield "one dropped", quoted(parts[:-1])
    yield "one twice", quoted(parts + parts[-1:])
    yield "all a half more", quoted(str(float(part) + 0.5) for part in parts)
    yield "all one more", quoted(str(float(part) + 1) for part in parts)
    yield "first one less", quoted([str(float(parts[0]) - 1)] + parts[1:])
    yield "unsorted", quoted(entry["metadata"]["original_numbers"])
    yield "bracket missing", gold[:-1]


def numbers(gold, entry, other, rng):
    parts = split_list(gold)
    whole = [part.removesuffix(".0") for part in parts]
    yield "a digit changed", change_digit(gold, rng)
    yield "whole numbers", ", ".join(whole)
    yield "backward", ", ".join(parts[::-1])
    yield "one dropped", ", ".join(parts[1:])
    yield "one twice", ", ".join(parts + parts[-1:])
    yield "one more", ", ".join(parts + ["7777"])
    yield "x= before each", ", ".join("x=" + part for part in whole)
    yield "x = before each", ", ".join("x = " + part for part in whole)
    yield "and between", " and ".join(whole)
    yield "or between", " or ".join(whole)
    yield "set", "{" + ", ".join(whole) + "}"
    yield "brackets", "[" + ", ".join(whole) + "]"
    yield "semicolons", "; ".join(whole)
    yield "signs turned", ", ".join(str(-float(part)) for part in parts)
    yield "a thousandth off", ", ".join(str(float(part) + 0.001) for part in parts)
    yield "a word among them", ", ".join(parts + ["banana"])


def product(gold, entry, other, rng):
    factors = gold.split(" × ")
    yield "a digit changed", change_digit(gold, rng)
    yield "backward", " × ".join(factors[::-1])
    yield "stars", "*".join(factors)
    yield "stars and spaces", " * ".join(factors)
    yield "no spaces", "×".join(factors)
    yield "letter x", " x ".join(factors)
    yield "commas", ", ".join(factors)
    yield "LaTeX", r" \times ".join(factors)
    yield "middle dots", "·".join(factors)
    powers = [f"{prime}^{factors.count(prime)}" if factors.count(prime) > 1 else prime for prime in dict.fromkeys(factors)]
    yield "powers", " × ".join(powers)
    yield "powers with two stars", " × ".join(powers).replace("^", "**")
    yield "one among the factors", "1 × " + gold
    yield "the number itself", str(entry["metadata"]["number"])
    yield "one dropped", " × ".join(factors[1:])
    yield "one twice", gold + " × " + factors[-1]
    if len(factors) > 1:
        yield "two multiplied", " × ".join([str(int(factors[0]) * int(factors[1]))] + factors[2:])
        yield "signs turned", " × ".join("-" + factor for factor in factors[:2]) + "".join(f" × {f}" for f in factors[2:])
    yield "sign behind", gold + " ×"
    yield "number before", f"{entry['metadata']['number']} = {gold}"


def fraction(gold, entry, other, rng):
    data = entry["metadata"]
    top, bottom = data["simplified_numerator"], data["simplified_denominator"]
    yield "a digit changed", change_digit(gold, rng)
    yield "plain", f"{top}/{bottom}"
    yield "spaces at the bar", f"{top} / {bottom}"
    yield "LaTeX", f"\\frac{{{top}}}{{{bottom}}}"
    yield "not simplified", f"{data['numerator']}/{data['denominator']}"
    yield "twice over twice", f"{2 * top}/{2 * bottom}"
    yield "turned", f"{bottom}/{top}"
    yield "decimal", str(top / bottom)
    yield "two minus signs", f"-{top}/-{bottom}"
    yield "negative", f"-{top}/{bottom}"
    yield "zeros in front", f"0{top}/0{bottom}"
    yield "plus in front", f"+{top}/{bottom}"
    yield "sum on top", f"{top - 1}+1/{bottom}"


def complex_number(gold, entry, other, rng):
    real, imaginary = entry["metadata"]["result"]
    yield "a digit changed", change_digit(gold, rng)
    yield "whole parts", f"{real}{imaginary:+}i"
    yield "whole parts, spaces", f"{real} {'+' if imaginary >= 0 else '-'} {abs(imaginary)}i"
    yield "imaginary first", f"{imaginary}i{real:+}"
    yield "j", f"{real}{imaginary:+}j"
    yield "star before i", f"{real}{imaginary:+}*i"
    yield "space before i", f"{real}{imaginary:+} i"
    yield "i before", f"{real}+i{imaginary}"
    yield "pair", f"({real}, {imaginary})"
    yield "conjugate", f"{real}{-imaginary:+}i"
    yield "negative", f"{-real}{-imaginary:+}i"
    yield "parts swapped", f"{imaginary}{real:+}i"
    yield "real part only", f"{real}"
    yield "imaginary part only", f"{imaginary}i"
    yield "one more", f"{real + 1}{imaginary:+}i"
    yield "a thousandth more", f"{real}.001{imaginary:+}i"
    yield "a trillionth of a trillionth more", f"{real}.000000000000000000000001{imaginary:+}i"
    yield "infinite", "inf+nani"


def word(gold, entry, other, rng):
    yield "backward", gold[::-1]
    yield "capital", gold.capitalize()
    yield "first two swapped", gold[1::-1] + gold[2:]
    yield "one letter changed", ("b" if gold[:1] != "b" else "c") + gold[1:]
    yield "one dropped", gold[1:]
    yield "one twice", gold + gold[-1:]
    yield "spaced", " ".join(gold)
    yield "hyphens", "-".join(gold)
    data = entry["metadata"]
    yield "its question", data.get("word") or data.get("cipher_text") or data.get("string") or entry["question"]


def tokens(gold, entry, other, rng):
    parts = gold.split()
    yield "commas", ", ".join(parts)
    yield "glued", "".join(parts)
    yield "two spaces", "  ".join(parts)
    yield "backward", " ".join(parts[::-1])
    yield "one dropped", " ".join(parts[1:])
    yield "one twice", " ".join(parts + parts[-1:])


def roles(gold, entry, other, rng):
    data = entry["metadata"]
    terms = data["knight_knave_terms"]
    kinds = [terms["a_knight"] if is_true else terms["a_knave"] for is_true in data["solution"]]
    sentence = lambda names, kinds: ", and ".join(f"{name} is {kind}" for name, kind in zip(names, kinds)) + "."
    turned = [terms["a_knave"] if kind == terms["a_knight"] else terms["a_knight"] for kind in kinds]
    names = data["names"]
    yield "commas only", gold.replace(" and ", " ")
    yield "backward", sentence(names[::-1], kinds[::-1])
    yield "all turned", sentence(names, turned)
    yield "first turned", sentence(names, turned[:1] + kinds[1:])
    yield "one dropped", sentence(names[1:], kinds[1:])
    yield "one twice", sentence(names + names[:1], kinds + kinds[:1])
    yield "one said to be both", sentence(names + names[:1], kinds + turned[:1])
    yield "not before each", sentence(names, [f"not {kind}" for kind in kinds])
    yield "no articles", gold.replace(" a ", " ").replace(" an ", " ")
    yield "knight and knave", sentence(names, ["a knight" if is_true else "a knave" for is_true in data["solution"]])


def grid(gold, entry, other, rng):
    rows = gold.split("\n")
    yield "rows joined by /", "/".join(rows)
    yield "no spaces", gold.replace(" ", "")
    yield "two spaces", gold.replace(" ", "  ")
    yield "commas", gold.replace(" ", ",")
    yield "spaces behind rows", "\n".join(row + " " for row in rows)
    yield "line behind", gold + "\n"
    yield "list of lists", str([row.split() for row in rows])
    yield "a digit changed", change_digit(gold, rng)
    yield "rows backward", "\n".join(rows[::-1])
    yield "first two rows swapped", "\n".join([rows[1], rows[0]] + rows[2:])
    yield "columns backward", "\n".join(row[::-1] for row in rows)
    yield "one row dropped", "\n".join(rows[:-1])
    yield "one row twice", "\n".join(rows + rows[-1:])
    yield "frame", "|" + "|\n|".join(rows) + "|"
    puzzle = entry["metadata"]["puzzle"]
    yield "its question", "\n".join(" ".join(str(cell) for cell in row) for row in puzzle)


def steps(gold, entry, other, rng):
    parts = gold.split()
    back = {"up": "down", "down": "up", "left": "right", "right": "left"}
    yield "commas", ", ".join(parts)
    yield "letters", "".join(part[0].upper() for part in parts)
    yield "to and fro first", " ".join([parts[0], back[parts[0]]] + parts)
    yield "over the goal and back", " ".join(parts + [back[parts[-1]], parts[-1]])
    yield "last dropped", " ".join(parts[:-1])
    yield "last twice", " ".join(parts + parts[-1:])
    yield "turned", " ".join(back[part] for part in parts)
    yield "backward", " ".join(parts[::-1])
    yield "infeasible", "infeasible"
    yield "into the blue", " ".join(["up"] * 40 + parts)


def lines(gold, entry, other, rng):
    moves = gold.split("\n")
    disk, start, end = re.fullmatch(r"Move disk (\d+) from Peg (\d+) to Peg (\d+)", moves[0]).groups()
    back = f"Move disk {disk} from Peg {end} to Peg {start}"
    yield "first dropped", "\n".join(moves[1:])
    yield "last dropped", "\n".join(moves[:-1])
    yield "to and fro first", "\n".join([moves[0], back] + moves)
    yield "a move that stays", "\n".join([f"Move disk {disk} from Peg {start} to Peg {start}"] + moves)
    yield "first two swapped", "\n".join(moves[1::-1] + moves[2:])
    yield "backward", "\n".join(moves[::-1])
    yield "numbered", "\n".join(f"{at}. {move}" for at, move in enumerate(moves, 1))
    yield "blank lines between", "\n\n".join(moves)
    yield "largest disk at once", f"Move disk {entry['metadata']['num_disks']} from Peg {start} to Peg {end}"
    yield "from a peg that is none", gold.replace("Peg 3", "Peg 9")
    yield "disk numbers turned", re.sub(r"disk (\d+)", lambda m: f"disk {entry['metadata']['num_disks'] + 1 - int(m[1])}", gold)
    yield "spaces before lines", "\n".join("  " + move for move in moves)


def expression(gold, entry, other, rng):
    data = entry["metadata"]
    given = data["numbers"]
    target = data.get("target", 24)
    yield "with its value", f"{gold} = {target}"
    yield "the target", str(target)
    yield "plus zero", f"{gold} + 0"
    yield "times one", f"({gold})*1"
    yield "no spaces", gold.replace(" ", "")
    yield "tabs", gold.replace(" ", "\t")
    yield "brackets round all", f"(({gold}))"
    yield "signs of print", gold.replace("*", "×").replace("/", "÷").replace("-", "−")
    yield "square brackets", gold.replace("(", "[").replace(")", "]")
    yield "places of zero", re.sub(r"(\d+)", r"\1.0", gold)
    yield "zeros in front", re.sub(r"(\d+)", r"0\1", gold)
    yield "minus minus", f"-(-({gold}))"
    yield "plus in front", "+" + gold
    yield "a number changed", change_digit(gold, rng)
    yield "sum of all", " + ".join(map(str, given))
    yield "given numbers alone", " ".join(map(str, given))
    yield "one number left out", f"{target - given[0]} + {given[0]}"
    yield "other numbers", f"{target - 6} + 1 + 2 + 3"
    yield "a half more", f"{gold} + 1/2"
    yield "half more, numbers kept", f"({gold}) + 0*({gold})"
    yield "power", f"({gold})**1"
    yield "floor", f"({gold})//1"
    yield "a call", f"abs({gold})"
    yield "a comparison", f"{gold} - 0 == {target}"
    yield "comma", f"{gold},"
    yield "a comment", f"{gold} # so"


KINDS = {
    "number": number, "words": words, "strings": strings, "numbers": numbers, "product": product, "fraction": fraction,
    "complex": complex_number, "word": word, "tokens": tokens, "roles": roles, "grid": grid, "steps": steps,
    "lines": lines, "expression": expression,
}


def variants(kind, gold, entry, other, rng):
    """Each distinct text once, under the first name that makes it; never the gold itself."""
    seen = {gold}
    for make in (for_all, KINDS[kind]):
        for name, text in make(gold, entry, other, rng):
            if text not in seen:
                seen.add(text)
                yield name, text
