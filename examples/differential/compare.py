"""Holds thinkling's `math` verifier against Math-Verify and sympy, on pairs of answers that are equal or different by construction.

usage: pip install -r requirements.txt && python compare.py [--thinkling PATH] [--count N] [--seed S] [--only KIND ...] [--out FILE]

Prints a table of false accepts (a different answer is paid) and false refusals (an equal one is not), by kind, in per cent with
95 % intervals, and writes every pair on which a checker was wrong to FILE. Exit code 1 where thinkling pays a different answer.
"""

import argparse
import json
import math
import random
import resource
import sys
import time
from collections import Counter

from checkers import math_verify, thinkling, with_sympy
from kinds import KINDS, draw_pairs


def wilson(wrong, count, z=1.959964):
    """The 95 % interval of a share, in per cent."""
    if not count:
        return None
    share, spread = wrong / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / count / 4) / (1 + spread)
    return 100 * max(0, middle - half), 100 * min(1, middle + half)


def cell(wrong, count):
    """`2 (1–8)`; a dash where the checker could read nothing."""
    if not count:
        return "–"
    low, high = wilson(wrong, count)
    digits = 1 if count >= 1000 else 0
    return f"{100 * wrong / count:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def cells(checker, counts, with_unread):
    """False accepts, false refusals and, where it has any, what the checker could not read."""
    for equal in (False, True):
        read = counts[checker, equal, True] + counts[checker, equal, False]
        yield cell(counts[checker, equal, not equal], read)
    if with_unread:
        yield str(counts[checker, True, None] + counts[checker, False, None])


def print_table(by_kind, total, checkers):
    unread = {name: total[name, True, None] + total[name, False, None] > 0 for name in checkers}
    head = [f"{name} accepts | refuses{' | unread' if unread[name] else ''}" for name in checkers]
    print(f"| kind | {' | '.join(head)} |")
    print("| --- " * (1 + " | ".join(head).count("|") + 1) + "|")
    for name, counts in [*by_kind.items(), ("**all**", total)]:
        row = [text for checker in checkers for text in cells(checker, counts, unread[checker])]
        print(f"| {name} | {' | '.join(row)} |")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thinkling", default="thinkling", help="the binary")
    parser.add_argument("--config", type=json.loads, default={}, help="the verifier's settings, as JSON")
    parser.add_argument("--count", type=int, default=40, help="equal pairs, and as many different ones, for each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="some of the kinds: " + ", ".join(name for name, _ in KINDS))
    parser.add_argument("--alone", action="store_true", help="thinkling only, which takes a second")
    parser.add_argument("--pairs", help="write the pairs to this file and judge nothing")
    parser.add_argument("--out", default="disagreements.jsonl", help="where the pairs go on which a checker is wrong")
    options = parser.parse_args()
    unknown = set(options.only or []) - {name for name, _ in KINDS}
    if unknown:
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    return options


def main():
    options = parse_options()
    chosen = [kind for kind in KINDS if not options.only or kind[0] in options.only]
    # A kind's pairs do not depend on which other kinds are chosen.
    pairs = [
        pair for kind in chosen for pair in draw_pairs(kind, options.count, random.Random(f"{options.seed} {kind[0]}"))
    ]
    if options.pairs:
        write_lines(options.pairs, map(vars, pairs))
        return 0
    verdicts, speeds = {}, []
    checkers = [("thinkling", lambda pairs: thinkling(pairs, options.thinkling, options.config))]
    for name, checker in (
        checkers if options.alone else [*checkers, ("Math-Verify", math_verify), ("sympy", with_sympy)]
    ):
        start = time.process_time() + children_time()
        verdicts[name] = checker(pairs)
        speeds.append(f"{name}: {len(pairs) / (time.process_time() + children_time() - start):.0f}")
    verdicts["thinkling"], reasons = verdicts["thinkling"]

    by_kind, disagreements = {name: Counter() for name, _ in chosen}, []
    for at, pair in enumerate(pairs):
        found = {name: verdict[at] for name, verdict in verdicts.items()}
        for name, verdict in found.items():
            by_kind[pair.kind][name, pair.equal, verdict] += 1
        if any(verdict is (not pair.equal) for verdict in found.values()) or found["thinkling"] is None:
            disagreements.append({**vars(pair), "verdicts": found, "reason": reasons[at]})
    write_lines(options.out, disagreements)
    total = sum(by_kind.values(), Counter())
    print_table(by_kind, total, list(verdicts))
    print(f"\n{len(pairs)} pairs, seed {options.seed}; pairs per CPU-second: {', '.join(speeds)}", file=sys.stderr)
    print(f"disagreements: {options.out}", file=sys.stderr)
    return 1 if total["thinkling", False, True] else 0


def write_lines(path, objects):
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)


def children_time():
    """Seconds of processor time of programs that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
