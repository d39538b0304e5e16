"""The three checkers. Each reads pairs and gives one verdict a pair: True, False, or None where it cannot read the pair."""

import json
import logging
import signal
import subprocess
import warnings

import sympy
from math_verify import parse, verify
from sympy.parsing.latex import parse_latex

# Seconds that sympy gets for one pair.
LIMIT = 5
CONSTANTS = {sympy.Symbol("e"): sympy.E, sympy.Symbol("i"): sympy.I, sympy.Symbol("pi"): sympy.pi}
BEGIN, END = "\\boxed{", "}."


def thinkling(pairs, binary, config):
    """Our verdicts: None where it finds a fault in the answer itself. What it cannot read in a completion is wrong."""
    lines = [{"id": at, "completion": pair.completion, "answer": pair.answer} for at, pair in enumerate(pairs)]
    command = [binary, "verify", "math", "--threads", "1", "--config", json.dumps(config)]
    done = subprocess.run(command, input="\n".join(map(json.dumps, lines)), capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [None if one["verdict"] == "error" else one["verdict"] == "correct" for one in found], [
        one["reason"] for one in found
    ]


def math_verify(pairs):
    """Math-Verify's verdicts, with its defaults and the answer in a box. None where it cannot parse the answer."""
    logging.disable(logging.ERROR)

    def verdict(pair):
        answer = parse(BEGIN + pair.answer + "}")
        return verify(answer, parse(pair.completion)) if answer else None

    return [verdict(pair) for pair in pairs]


def with_sympy(pairs):
    """The verdicts of sympy alone: its own parsers, and `simplify` of the difference. None where it cannot read one of both, or takes too long."""
    warnings.simplefilter("ignore")

    def late(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)

    def verdict(pair):
        if BEGIN not in pair.completion or not pair.completion.endswith(END):
            return None
        completion = pair.completion[pair.completion.index(BEGIN) + len(BEGIN) : -len(END)]
        signal.alarm(LIMIT)
        try:
            return are_equal(read(pair.answer), read(completion))
        # Its parsers and `simplify` raise errors of many types.
        except Exception:
            return None
        finally:
            signal.alarm(0)

    return [verdict(pair) for pair in pairs]


def read(text):
    """Python's own spelling where it is that, else LaTeX, of which sympy takes `e`, `i` and `pi` for variables."""
    text = text.strip().strip("$")
    if "\\" not in text and "{" not in text:
        try:
            return sympy.sympify(text.replace("^", "**"), rational=True)
        except (sympy.SympifyError, SyntaxError, TypeError, AttributeError):
            pass
    return parse_latex(text, strict=True).subs(CONSTANTS)


def are_equal(one, two):
    if one == two:
        return True
    if isinstance(one, sympy.Equality) and isinstance(two, sympy.Equality):
        quotient = sympy.simplify((one.lhs - one.rhs) / (two.lhs - two.rhs))
        return bool(quotient.is_number and quotient.is_finite and quotient != 0)
    if isinstance(one, sympy.core.relational.Relational) and isinstance(two, sympy.core.relational.Relational):
        return one.as_set() == two.as_set()
    if isinstance(one, sympy.Expr) and isinstance(two, sympy.Expr):
        return sympy.simplify(one - two) == 0
    if isinstance(one, sympy.Tuple) and isinstance(two, sympy.Tuple):
        return len(one) == len(two) and all(map(are_equal, one, two))
    return False
