"""Our questions in the form that their scorers need: an entry with the metadata that they read, and our answer in
their form."""
from collections import namedtuple
from fractions import Fraction

# `entry` returns None for a question that theirs cannot say; `settings` those of their dataset for a question.
Reverse = namedtuple("Reverse", "task dataset levels entry settings", defaults=(lambda item: {},))


def plain(item):
    return {"answer": item["answer"], "metadata": {}}, item["answer"]


def product(item):
    answer = item["answer"].replace("*", " × ")
    return {"answer": answer, "metadata": {"number": item["spec"]["number"]}}, answer


def complex_pair(item):
    value = complex(item["answer"].replace("i", "j"))
    return {"answer": item["answer"], "metadata": {"result": [int(value.real), int(value.imag)]}}, item["answer"]


def fraction(item):
    """A quotient alone: theirs only simplifies."""
    value = Fraction(item["answer"])
    if value <= 0 or item["spec"]["operation"] != "*":
        return None, None
    data = {"simplified_numerator": value.numerator, "simplified_denominator": value.denominator}
    answer = f"{value.numerator}/{value.denominator}"
    return {"answer": answer, "metadata": {**data, "numerator": 0, "denominator": 0}}, answer


def roots(item):
    answer = ", ".join(str(float(root)) for root in item["answer"].split(","))
    return {"answer": answer, "metadata": {}}, answer


def number_list(item):
    numbers = item["answer"].split()
    direction = "descending" if item["spec"]["descending"] else "ascending"
    return {"answer": str(numbers), "metadata": {"direction": direction}}, str(numbers)


def word_list(item):
    words = item["answer"].split()
    return {"answer": ", ".join(words), "metadata": {"sorted_words": words}}, ", ".join(words)


def upper(item):
    return {"answer": item["answer"].upper(), "metadata": {}}, item["answer"].upper()


def knights(item):
    names = [chr(ord("A") + at) for at in range(len(item["spec"]["says"]))]
    kinds = dict(pair.split("=") for pair in item["answer"].split(","))
    # Their scorer drops the word "a" wherever it stands.
    people = {name: f"Person{name}" for name in names}
    said = ", and ".join(f"{people[name]} is a {kinds[name]}" for name in names) + "."
    return {"answer": said, "metadata": {}}, said


def sudoku(item):
    rows = item["answer"].split("/")
    answer = "\n".join(" ".join(row) for row in rows)
    return {"answer": answer, "metadata": {"solution": [list(map(int, row)) for row in rows]}}, answer


def queens(item):
    columns = list(map(int, item["answer"].split(",")))
    answer = "\n".join(" ".join("Q" if at == column else "_" for at in range(1, len(columns) + 1)) for column in columns)
    return {"answer": answer, "metadata": {"valid_answers": [answer]}}, answer


def maze(item):
    rows = [row.translate(str.maketrans("SG.#", "*#OX")) for row in item["spec"]["rows"]]
    names = {"U": "up", "D": "down", "L": "left", "R": "right"}
    answer = " ".join(names[step] for step in item["answer"])
    return {"answer": answer, "metadata": {"matrix": [list(row) for row in rows]}}, answer


def hanoi(item):
    import json

    start = next(at for at, disks in enumerate(item["spec"]["start"]) if disks)
    goal = next(at for at, disks in enumerate(item["spec"]["goal"]) if disks)
    disks = sum(map(len, item["spec"]["start"]))
    if len(item["spec"]["start"][start]) < disks or len(item["spec"]["goal"][goal]) < disks:
        return None, None
    moves = json.loads(item["answer"])
    answer = "\n".join(f"Move disk {disk} from Peg {a + 1} to Peg {b + 1}" for disk, a, b in moves)
    data = {"num_disks": disks, "num_pegs": 3, "start_peg": start + 1, "target_peg": goal + 1}
    return {"answer": answer, "metadata": {**data, "solution_length": len(moves)}}, answer


def countdown(item):
    return {"answer": item["answer"], "metadata": dict(item["spec"])}, item["answer"]


def puzzle24(item):
    """Theirs knows numbers up to 10."""
    return countdown(item) if max(item["spec"]["numbers"]) <= 10 else (None, None)


REVERSED = [
    Reverse("addition", "chain_sum", [2, 5, 18], plain),
    Reverse("chain_sum", "chain_sum", [2, 6, 12], plain),
    Reverse("basic_arithmetic", "basic_arithmetic", [2, 5, 10], plain),
    Reverse("multiplication", "products", [1, 5, 9], plain),
    Reverse("decimal_arithmetic", "decimal_chain_sum", [1, 3, 6], plain),
    Reverse("decimal_arithmetic", "decimal_arithmetic", [1, 3, 6], plain, lambda item: {"max_num_decimal_places": 10}),
    Reverse("gcd", "gcd", [2, 6, 12], plain),
    Reverse("prime_factorization", "prime_factorization", [2, 5, 8], product),
    Reverse("fraction_arithmetic", "fraction_simplification", [1, 8, 20], fraction),
    Reverse("base_conversion", "base_conversion", [2, 6, 12], plain),
    Reverse("complex_arithmetic", "complex_arithmetic", [1, 5, 10], complex_pair),
    Reverse("linear_equations", "simple_equations", [1, 5, 10], plain),
    Reverse("quadratic_equations", "polynomial_equations", [1, 5, 10], roots),
    Reverse("number_sorting", "number_sorting", [2, 8, 16], number_list),
    Reverse("word_sorting", "word_sorting", [2, 6, 12], word_list),
    Reverse("spell_backward", "spell_backward", [3, 10, 20], plain),
    Reverse("letter_counting", "letter_counting", [3, 10, 30], plain),
    Reverse("caesar_cipher", "caesar_cipher", [3, 10, 20], upper),
    Reverse("knights_knaves", "knights_knaves", [2, 5, 10], knights),
    Reverse("mini_sudoku", "mini_sudoku", [1, 6, 11], sudoku),
    Reverse("n_queens", "n_queens", [4, 8, 10], queens),
    Reverse("maze", "shortest_path", [3, 6, 12], maze),
    Reverse("hanoi", "tower_of_hanoi", [1, 4, 8], hanoi),
    Reverse("countdown", "countdown", [2, 4, 6], countdown),
    Reverse("puzzle24", "puzzle24", [6, 10, 13], puzzle24),
    Reverse("word_problems", "gsm_symbolic", [1, 4, 8], plain),
]
