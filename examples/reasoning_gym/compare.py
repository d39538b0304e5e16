"""Holds thinkling's judges against reasoning-gym's scorers, on the questions that both can pose.

usage: pip install reasoning-gym==0.1.25 && python compare.py [--thinkling PATH] [--count N] [--seeds 1 2 3] [--only NAME]

There: entries of theirs are converted, their golds and many variants of them judged by both. Back: questions of ours
are put to their scorers. Prints a table of golds, then every class of disagreement with an example; `theirs` is their
score (1 is right), `ours` thinkling's verdict. Exit code 1 where a gold is refused.
"""
import argparse
import collections
import contextlib
import io
import json
import random
import subprocess
import sys

from reasoning_gym import create_dataset

from conversions import NOT_CONVERTED, PAIRS
from reverse import REVERSED
from variants import variants

# Entries looked at for each one wanted, where few can be converted.
PATIENCE = 1500
RIGHT = 1 - 1e-9


def judge(thinkling, verifier, config, lines):
    """Thinkling's verdicts on JSON lines, in order."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    command = [thinkling, "verify", verifier, "--config", json.dumps(config)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def score(dataset, text, entry):
    """Their score; an exception, or a warning printed, is no score."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return float(dataset.score_answer(text, entry))
        except Exception as error:
            return f"raises {type(error).__name__}"


def is_right(score):
    return isinstance(score, float) and score >= RIGHT


def converted(pair, seed, count):
    """Up to `count` entries that convert, as (dataset, entry, spec), and how many were looked at."""
    dataset = create_dataset(pair.dataset, seed=seed, size=count * PATIENCE, **pair.settings)
    found, seen = [], 0
    for seen in range(1, count * PATIENCE + 1):
        entry = dataset[seen - 1]
        spec = pair.convert(dataset, entry)
        if spec is not None:
            found.append((dataset, entry, spec))
        if len(found) == count:
            break
    return found, seen


class Tally:
    """Counts of one pair: golds, wrong answers, and classes of disagreement with their first example."""

    def __init__(self):
        self.looked_at = self.golds = self.refused = self.wrong = self.paid = 0
        self.classes = collections.Counter()
        self.examples = {}

    def gold(self, line, verdict):
        self.golds += 1
        if verdict["verdict"] != "correct":
            self.refused += 1
            self.examples.setdefault("GOLD REFUSED", (line, verdict))

    def variant(self, name, theirs, line, verdict):
        self.wrong += 1
        is_ours = verdict["verdict"] == "correct"
        # A share of the reward for an answer that ours refuses.
        self.paid += not is_ours and not is_right(theirs) and isinstance(theirs, float) and theirs > 0.05
        if is_right(theirs) != is_ours:
            key = ("theirs alone" if is_right(theirs) else "ours alone", name)
            self.classes[key] += 1
            self.examples.setdefault(key, (theirs, line, verdict))


def there(pair, thinkling, seeds, count):
    """Their entries under our judge."""
    tally = Tally()
    for seed in seeds:
        entries, seen = converted(pair, seed, count)
        tally.looked_at += seen
        rng = random.Random(seed)
        lines, about = [], []
        for (dataset, entry, spec), (_, neighbour, _) in zip(entries, entries[1:] + entries[:1]):
            gold = entry["answer"]
            texts = [("gold", gold), *variants(pair.kind, gold, entry, neighbour["answer"], rng)]
            for name, text in texts:
                ours = pair.answer(text, entry)
                lines.append({"id": 0, "completion": f"<answer>{ours}</answer>", "answer": pair.answer(gold, entry), "spec": spec})
                about.append((name, None if name == "gold" else score(dataset, text, entry), text))
        for (name, theirs, text), line, verdict in zip(about, lines, judge(thinkling, pair.verifier, pair.config, lines)):
            line = {**line, "theirs": text}
            if name == "gold":
                tally.gold(line, verdict)
            else:
                tally.variant(name, theirs, line, verdict)
    return tally


def back(row, thinkling, seeds, count):
    """Our questions under their scorer: our answer as we write it, and in their form."""
    as_ours, as_theirs, example, total = 0, 0, None, 0
    for seed in seeds:
        for level in row.levels:
            command = [thinkling, "generate", row.task, "--count", str(count), "--seed", str(seed), "--level", str(level)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            for line in done.stdout.splitlines():
                item = json.loads(line)
                entry, answer = row.entry(item)
                if entry is None:
                    continue
                dataset = create_dataset(row.dataset, seed=1, size=1, **row.settings(item))
                total += 1
                as_ours += is_right(score(dataset, item["answer"], entry))
                is_scored = is_right(score(dataset, answer, entry))
                as_theirs += is_scored
                if not is_scored and example is None:
                    example = (item, answer)
    return total, as_ours, as_theirs, example


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thinkling", default="thinkling", help="the program")
    parser.add_argument("--count", type=int, default=100, help="entries a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--only", help="one dataset or task")
    options = parser.parse_args()
    is_refused = False

    pairs = [pair for pair in PAIRS if options.only in (None, pair.dataset, pair.verifier)]
    print("| theirs | ours | entries, of seen | golds accepted | wrong answers and rewrites | theirs alone | ours alone | paid in part by theirs |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    tallies = []
    for pair in pairs:
        tally = there(pair, options.thinkling, options.seeds, options.count)
        tallies.append((pair, tally))
        is_refused |= tally.refused > 0
        alone = [sum(count for key, count in tally.classes.items() if key[0] == side) for side in ("theirs alone", "ours alone")]
        print(f"| {pair.dataset} | {pair.verifier} | {tally.golds} of {tally.looked_at} | {tally.golds - tally.refused} | "
              f"{tally.wrong} | {alone[0]} | {alone[1]} | {tally.paid} |", flush=True)
    for name, reason in NOT_CONVERTED.items():
        print(f"not converted: {name}: {reason}")

    print("\ndisagreements, by class")
    for pair, tally in tallies:
        for key, example in tally.examples.items():
            print(f"{pair.dataset} > {pair.verifier}\t{key}\t{tally.classes.get(key, '')}\t{json.dumps(example)[:700]}")

    print("\n| ours | theirs | questions | our answer as written | in their form |\n| --- | --- | --- | --- | --- |")
    for row in REVERSED:
        if options.only in (None, row.dataset, row.task):
            total, as_ours, as_theirs, example = back(row, options.thinkling, options.seeds, max(1, options.count // len(row.levels)))
            print(f"| {row.task} | {row.dataset} | {total} | {as_ours} | {as_theirs} |" + (f" {json.dumps(example)[:400]}" if example else ""), flush=True)
    sys.exit(is_refused)


if __name__ == "__main__":
    main()
