"""How tasks of reasoning-gym read as tasks of thinkling: a row of `PAIRS` each.

A converter takes a dataset and one of its entries and returns `(spec, answer)` in thinkling's form, or None where
thinkling's spec cannot say what the entry says; how many those are is counted, not hidden. `answer` turns what is
written for their scorer into what is written for ours, word for word where both use the same form; what it cannot read
goes through as it is.
"""
import ast
import re
from collections import namedtuple
from decimal import Decimal, localcontext
from fractions import Fraction

# `kind` picks the wrong answers of `variants.py`. `verifier` is a task, or a general verifier of thinkling.
Pair = namedtuple("Pair", "dataset verifier kind convert answer settings config", defaults=({}, {}))


def same(text, _entry):
    return text


def expression_of(entry):
    """The arithmetic expression of a question, where the metadata lacks it."""
    return entry["metadata"].get("expression") or entry["question"].splitlines()[-1].replace("= ?", "").strip()


def chain_sum(_, entry):
    """`4 + -3 - 2` as signed terms."""
    parts = expression_of(entry).split()
    signs = [1] + [1 if sign == "+" else -1 for sign in parts[1::2]]
    return {"terms": [sign * int(term) for sign, term in zip(signs, parts[::2])]}


def addition(dataset, entry):
    spec = chain_sum(dataset, entry)
    return spec if len(spec["terms"]) == 2 and min(spec["terms"]) >= 0 else None


def products(_, entry):
    factors = [int(factor) for factor in expression_of(entry).split("*")]
    return {"factors": factors} if len(factors) == 2 else None


def basic_arithmetic(_, entry):
    """Their quotients are rounded down; ours are exact, so an expression where that differs is left out."""
    expression = expression_of(entry)
    exact = eval(re.sub(r"\d+", r"Fraction(\g<0>)", expression), {"Fraction": Fraction})
    return {"expression": expression} if exact == int(entry["answer"]) else None


def decimal_expression(dataset, entry):
    """Their results are rounded to so many digits; those that need more are left out."""
    expression = expression_of(entry)
    with localcontext() as context:
        context.prec = 60
        exact = eval(re.sub(r"[\d.]+", r"Decimal('\g<0>')", expression), {"Decimal": Decimal})
    return {"expression": expression} if exact == Decimal(entry["answer"]) else None


def decimal_pair(_, entry):
    parts = expression_of(entry).split()
    return {"left": parts[0], "operation": parts[1], "right": parts[2]} if len(parts) == 3 else None


def gcd(_, entry):
    numbers = entry["metadata"]["numbers"]
    return {"numbers": numbers} if len(numbers) == 2 else None


def factorization(_, entry):
    return {"number": entry["metadata"]["number"]}


def fraction(_, entry):
    data = entry["metadata"]
    return {"left": [data["numerator"], data["denominator"]], "operation": "*", "right": [1, 1]}


def fraction_answer(text, _):
    latex = re.fullmatch(r"\s*\$?\s*\\d?frac\s*{\s*(\d+)\s*}\s*{\s*(\d+)\s*}\s*\$?\s*", text)
    if latex:
        return f"{latex[1]}/{latex[2]}"
    plain = re.fullmatch(r"\s*\$\s*(\S+)\s*\$\s*", text)
    return plain[1] if plain else text


def base_conversion(_, entry):
    data = entry["metadata"]
    if max(data["source_base"], data["target_base"]) > 16:
        return None
    return {"digits": data["source_repr"], "from": data["source_base"], "to": data["target_base"]}


def complex_pair(_, entry):
    data = entry["metadata"]
    parts = [[int(part) for part in data[key]] for key in ("num1", "num2")]
    return {"left": parts[0], "operation": data["operation"], "right": parts[1]}


def coefficients(polynomial, variable, degree):
    """The factors of a polynomial from the highest power down, or None where it has another degree."""
    from sympy import Poly, Symbol, sympify

    found = Poly(sympify(polynomial, locals={variable: Symbol(variable)}), Symbol(variable)).all_coeffs()
    found = [int(factor) for factor in found]
    return found if len(found) == degree + 1 else None


def linear(_, entry):
    data = entry["metadata"]
    left, right = data["equation"].split("=")
    found = coefficients(left, data["variable"], 1)
    return {"left": found, "right": [0, int(right)]} if found else None


def linear_polynomial(_, entry):
    """Solutions that four places do not hold are left out: theirs are rounded, ours exact."""
    data = entry["metadata"]
    found = coefficients(data["polynomial_expr"], data["variable"], 1)
    if not found or found[0] * Fraction(entry["answer"] or 0) + found[1] != 0:
        return None
    return {"left": found, "right": [0, 0]}


def quadratic_polynomial(_, entry):
    data = entry["metadata"]
    found = coefficients(data["polynomial_expr"], data["variable"], 2)
    roots = [Fraction(root) for root in entry["answer"].split(", ") if root]
    if not found or not roots:
        return None
    a, b, c = found
    return {"coefficients": found} if all(a * x * x + b * x + c == 0 for x in roots) else None


def number_sorting(_, entry):
    data = entry["metadata"]
    numbers = [float(number) for number in data["original_numbers"]]
    if not all(number.is_integer() for number in numbers):
        return None
    return {"numbers": [int(number) for number in numbers], "descending": data["direction"] == "descending"}


def word_sorting(_, entry):
    data = entry["metadata"]
    return {"words": data["transformed_words"]} if data["direction"] == "ascending" else None


def spell_backward(_, entry):
    return {"word": entry["metadata"]["word"]}


def letter_counting(_, entry):
    data = entry["metadata"]
    return {"letter": data["target_letter"], "word": " ".join(data["span"]).lower()}


def caesar_cipher(_, entry):
    """They ask for the text behind the cipher: that is the cipher of the rest of the way round."""
    data = entry["metadata"]
    return {"shift": 26 - data["rotation"], "word": data["cipher_text"]}


# Of their twenty rules these alone replace a string wherever it stands.
PLAIN_RULES = {
    "If the string contains 'abc', replace the first occurrence with 'cab'.": ["abc", "cab"],
    "If the string contains 'bca', delete the first occurrence entirely.": ["bca", ""],
    "If the string contains 'acb', replace the first occurrence with its reverse ('bca').": ["acb", "bca"],
}


def string_manipulation(_, entry):
    data = entry["metadata"]
    if not all(rule in PLAIN_RULES for rule in data["selected_rules"]):
        return None
    return {"rules": [PLAIN_RULES[rule] for rule in data["selected_rules"]], "start": data["string"]}


AB_LETTERS = {"A#": "a", "B#": "b", "#A": "A", "#B": "B"}


def ab(_, entry):
    """The four tokens as letters: capitals face left."""
    program = entry["question"].split("following program:")[1].split("Return")[0].split()
    rules = [["aA", ""], ["aB", "Ba"], ["bA", "Ab"], ["bB", ""]]
    return {"rules": rules, "start": "".join(AB_LETTERS[token] for token in program)}


def ab_answer(text, _):
    tokens = text.split(" ") if text else []
    return "".join(AB_LETTERS[token] for token in tokens) if all(token in AB_LETTERS for token in tokens) else text


def count_bits(_, entry):
    return {"bits": entry["metadata"]["binary"]}


def count_bits_answer(text, _):
    """Parity is the last bit of their count."""
    return str(int(text) % 2) if re.fullmatch(r"\d+", text) else text


KNIGHT_CONNECTIVES = {"and": "&", "or": "|", "->": ">", "<=>": "~"}


def literal(statement):
    """`!B` of `("lying", 1)` and of `("not", ("telling-truth", 1))`; None for anything with a connective."""
    if statement[0] == "not":
        inner = literal(statement[1])
        return inner and (inner[1:] if inner[0] == "!" else "!" + inner)
    if statement[0] not in ("telling-truth", "lying"):
        return None
    return ("!" if statement[0] == "lying" else "") + chr(ord("A") + int(statement[1]))


def knights(_, entry):
    said = []
    for statement in entry["metadata"]["statements"]:
        parts = [literal(part) for part in statement[1:]] if statement[0] in KNIGHT_CONNECTIVES else [literal(statement)]
        if None in parts or len(parts) > 2:
            return None
        said.append(KNIGHT_CONNECTIVES[statement[0]].join(parts) if len(parts) == 2 else parts[0])
    return {"says": said}


def knights_answer(text, entry):
    data = entry["metadata"]
    kinds = {data["knight_knave_terms"]["knight"]: "knight", data["knight_knave_terms"]["knave"]: "knave"}
    pairs = []
    for clause in re.split(r",\s*and |,\s*", text.strip().rstrip(".")):
        found = re.fullmatch(r"(\w+) is an? (\w+)", clause)
        if not found or found[1] not in data["names"] or found[2] not in kinds:
            return text
        pairs.append(f"{chr(ord('A') + data['names'].index(found[1]))}={kinds[found[2]]}")
    return ",".join(pairs)


def sudoku(_, entry):
    rows = entry["metadata"]["puzzle"]
    return {"grid": "/".join("".join(str(cell) if cell else "_" for cell in row) for row in rows)}


def queens(_, entry):
    rows = entry["metadata"]["puzzle"]
    return {"given": [row.index("Q") + 1 if "Q" in row else None for row in rows]}


def queens_answer(text, _):
    rows = [row.split() for row in text.splitlines()]
    if not all(row.count("Q") == 1 and set(row) == {"Q", "_"} and len(row) == len(rows) for row in rows):
        return text
    return ",".join(str(row.index("Q") + 1) for row in rows)


def grid(_, entry):
    """Their shortest paths run through a grid: our maze. A grid without a way is none."""
    if entry["answer"] == "infeasible":
        return None
    cells = str.maketrans("*#OX", "SG.#")
    rows = ["".join(row).translate(cells) for row in entry["metadata"]["matrix"]]
    return {"rows": rows, "minimum": len(entry["answer"].split()), "shortest": True}


def grid_answer(text, _):
    steps = text.split()
    letters = {"up": "U", "down": "D", "left": "L", "right": "R"}
    return "".join(letters[step] for step in steps) if all(step in letters for step in steps) else text


def maze(_, entry):
    """They ask for the number of steps, we for the steps."""
    data = entry["metadata"]
    names = {data["start"]: "S", data["goal"]: "G", data["wall"]: "#", data["path"]: "."}
    rows = ["".join(names[cell] for cell in row) for row in data["grid"]]
    return {"rows": rows, "minimum": int(entry["answer"]), "shortest": True}


def maze_answer(text, entry):
    """A way of as many steps, where one is: a shortest way, then to and fro."""
    if not re.fullmatch(r"\d+", text):
        return text
    data = entry["metadata"]
    way = way_through(data["grid"], data["start"], data["goal"], data["wall"])
    back = {"U": "D", "D": "U", "L": "R", "R": "L"}
    while len(way) < int(text):
        way += back[way[-1]] + way[-1]
    return way[: int(text)]


def way_through(rows, start, goal, wall):
    """A shortest way by breadth-first search."""
    at = {cell: (row, column) for row, cells in enumerate(rows) for column, cell in enumerate(cells)}
    ways = {at[start]: ""}
    queue = [at[start]]
    for row, column in queue:
        for letter, down, right in (("U", -1, 0), ("D", 1, 0), ("L", 0, -1), ("R", 0, 1)):
            there = row + down, column + right
            if there not in ways and rows[there[0]][there[1]] != wall:
                ways[there] = ways[row, column] + letter
                queue.append(there)
    return ways[at[goal]]


def hanoi(_, entry):
    data = entry["metadata"]
    if data["num_pegs"] != 3:
        return None
    disks = list(range(data["num_disks"], 0, -1))
    pegs = lambda at: [disks if peg == at else [] for peg in (1, 2, 3)]
    return {"start": pegs(data["start_peg"]), "goal": pegs(data["target_peg"]), "minimum": data["solution_length"]}


def hanoi_answer(text, _):
    found = [re.fullmatch(r"\s*Move disk (\d+) from Peg (\d+) to Peg (\d+)\s*", line) for line in text.splitlines() if line.strip()]
    if not found or None in found:
        return text
    return str([[int(move[1]), int(move[2]) - 1, int(move[3]) - 1] for move in found])


def countdown(_, entry):
    data = entry["metadata"]
    return {"numbers": data["numbers"], "target": data["target"]}


def puzzle24(_, entry):
    return {"numbers": entry["metadata"]["numbers"], "target": 24}


def nothing(_, _entry):
    """A general verifier needs the answer alone."""
    return {}


def number_list_answer(text, _):
    """A Python list of strings as the strings with commas between."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return ", ".join(map(str, found)) if isinstance(found, list) else text


PAIRS = [
    Pair("chain_sum", "addition", "number", addition, same, {"max_terms": 2}),
    Pair("chain_sum", "chain_sum", "number", chain_sum, same),
    Pair("basic_arithmetic", "basic_arithmetic", "number", basic_arithmetic, same),
    Pair("decimal_chain_sum", "decimal_arithmetic", "number", decimal_pair, same, {"max_terms": 2}),
    Pair("decimal_arithmetic", "basic_arithmetic", "number", decimal_expression, same, {"max_terms": 4}),
    Pair("products", "multiplication", "number", products, same),
    Pair("gcd", "gcd", "number", gcd, same),
    Pair("prime_factorization", "prime_factorization", "product", factorization, same),
    Pair("fraction_simplification", "fraction_arithmetic", "fraction", fraction, fraction_answer,
         config={"lowest_terms": True}),
    Pair("base_conversion", "base_conversion", "number", base_conversion, same),
    Pair("complex_arithmetic", "complex_arithmetic", "complex", complex_pair, same),
    Pair("simple_equations", "linear_equations", "number", linear, same),
    Pair("polynomial_equations", "linear_equations", "number", linear_polynomial, same,
         {"max_degree": 1, "max_value": 20}),
    Pair("polynomial_equations", "quadratic_equations", "numbers", quadratic_polynomial, same,
         {"min_degree": 2, "max_degree": 2, "max_value": 6}),
    Pair("number_sorting", "number_sorting", "strings", number_sorting, same, {"max_decimals": 0}),
    Pair("word_sorting", "word_sorting", "words", word_sorting, same),
    Pair("spell_backward", "spell_backward", "word", spell_backward, same),
    Pair("letter_counting", "letter_counting", "number", letter_counting, same),
    Pair("caesar_cipher", "caesar_cipher", "word", caesar_cipher, same),
    Pair("string_manipulation", "string_rewriting", "word", string_manipulation, same, {"max_num_rules": 3}),
    Pair("ab", "string_rewriting", "tokens", ab, ab_answer),
    Pair("count_bits", "parity", "number", count_bits, count_bits_answer),
    Pair("knights_knaves", "knights_knaves", "roles", knights, knights_answer),
    Pair("mini_sudoku", "mini_sudoku", "grid", sudoku, same),
    Pair("n_queens", "n_queens", "grid", queens, queens_answer),
    Pair("shortest_path", "maze", "steps", grid, grid_answer),
    Pair("maze", "maze", "number", maze, maze_answer),
    Pair("tower_of_hanoi", "hanoi", "lines", hanoi, hanoi_answer, {"max_pegs": 3}),
    Pair("countdown", "countdown", "expression", countdown, same),
    Pair("puzzle24", "puzzle24", "expression", puzzle24, same),
    Pair("gsm_symbolic", "math", "number", nothing, same),
]

# Tasks that both name, with no row above, and why.
NOT_CONVERTED = {
    "propositional_logic": "they ask for any conclusion that follows, we for truth values that make all premises true; "
    "their premises nest, ours join two literals",
    "zebra_puzzles": "they ask who lives in one house and keep the solution to themselves; their clues (somewhere left "
    "of, one between, not in) are none of ours",
}
