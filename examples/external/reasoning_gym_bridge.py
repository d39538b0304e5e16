"""Serves any dataset of reasoning-gym (`pip install reasoning-gym==0.1.25`) as poser and judge, over JSON lines.

usage: reasoning_gym_bridge.py DATASET [SETTINGS AS JSON]

{"id", "pose": {"seed", "level", "settings"}}  ->  {"id", "prompt", "answer", "spec", "solutions"}
{"id", "completion", "answer", "spec"}         ->  {"id", "score", "verdict", "extracted", "reason"}

The spec holds what makes the question again, not the question: some entries do not survive JSON. Levels are those of
the dataset's curriculum where it has one; elsewhere only level 0 and settings count. A score is theirs, but nothing is
paid for any answer at all, nor for an answer that merely holds the right one. Worked solutions are written where WORKED
has a way to; other datasets have their answers only.
"""
import os
import sys

# Some datasets walk through sets of names: without a fixed hash the judge would not meet the question that was posed.
if os.environ.get("PYTHONHASHSEED") != "0":
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})

import contextlib
import functools
import json
import re

try:
    from reasoning_gym import create_dataset
    from reasoning_gym.composite import DatasetSpec
    from reasoning_gym.factory import DATASETS, create_curriculum, has_curriculum
except ImportError as missing:
    # Who asks shows this in its own error.
    reason = f"{sys.executable} has no reasoning-gym: pip install reasoning-gym==0.1.25 ({missing})"
    for line in sys.stdin:
        print(json.dumps({"id": json.loads(line).get("id"), "error": reason}), flush=True)
    sys.exit(reason)

# What these scorers pay for any answer at all.
CONSOLATION = 0.05
# Where datasets without a single answer keep an example of one.
EXAMPLES = ("example_answer", "possible_answer", "example_correct_answer")


@functools.lru_cache(maxsize=256)
def remembered(name, seed, level, settings):
    """A question is judged once a completion; some take seconds to make. `settings` is JSON."""
    return make(name, seed, level, json.loads(settings))


def make(name, seed, level, settings):
    """The dataset with a single question, and that question; a seed of its own each, so that none overlap."""
    fixed = {"seed": seed % 2**31, "size": 1}
    if name == "composite":
        parts = [DatasetSpec(**{"weight": 1.0, "config": {}, **part}) for part in settings["datasets"]]
        settings = {**settings, "datasets": parts}
    if level > 0 and has_curriculum(name):
        curriculum = create_curriculum(name)
        curriculum.set_global_level(level)
        # The settings win over the curriculum.
        chosen = {**vars(curriculum.generate_configuration(fixed)), **settings, **fixed}
        dataset = create_dataset(name, **chosen)
    else:
        dataset = create_dataset(name, **settings, **fixed)
    return dataset, dataset[0]


def running_sums(metadata):
    """The sum behind each term: `6+1=7-5=2`."""
    first, *rest = metadata["expression"].split()
    total, thinking = int(first), first
    for sign, term in zip(rest[::2], rest[1::2]):
        total += int(term) if sign == "+" else -int(term)
        thinking += f"{sign}{term}={total}"
    return {"long": thinking}


def running_counts(metadata):
    """Each word and how often the letter was met by its end: `banana3;and4`."""
    seen, steps = 0, []
    for word in metadata["span"]:
        seen += word.lower().count(metadata["target_letter"])
        steps.append(f"{word}{seen}")
    return {"long": ";".join(steps)}


# Datasets whose worked solutions can be written from what they tell of a question.
WORKED = {"chain_sum": running_sums, "letter_counting": running_counts}


def pose(name, settings, wanted):
    settings = {**settings, **wanted.get("settings", {})}
    spec = {"dataset": name, "seed": wanted["seed"], "level": wanted["level"], "settings": settings}
    dataset, entry = remembered(name, spec["seed"], spec["level"], json.dumps(settings))
    answer = entry["answer"]
    if answer is None:
        examples = [entry["metadata"][key] for key in EXAMPLES if key in entry["metadata"]]
        examples = [example if isinstance(example, str) else json.dumps(example) for example in examples]
        answer = next((example for example in examples if dataset.score_answer(example, entry) == 1), None)
    solutions = WORKED[name](entry["metadata"]) if name in WORKED else {}
    answer = None if answer is None else str(answer)
    return {"prompt": entry["question"], "answer": answer, "spec": spec, "solutions": solutions}


def is_padded(score, answer, gold):
    """Whether a share of the score was paid for the right answer with text around it."""
    held = answer.replace(",", "")
    return any(gold in text and score == len(gold) / len(text) for text in (answer, held) if text and text != gold)


def judge(item):
    found = re.findall(r"<answer>(.*?)</answer>", item["completion"].rpartition("</think>")[2], re.DOTALL)
    if not found:
        return {"score": 0, "verdict": "malformed", "reason": "no closed <answer> after the thinking"}
    spec, answer = item["spec"], found[-1].strip()
    dataset, entry = remembered(spec["dataset"], spec["seed"], spec["level"], json.dumps(spec["settings"]))
    try:
        score = float(dataset.score_answer(answer, entry))
    except Exception as error:  # The scorers parse what the model wrote: a mistake of the model, not of the item.
        return {"score": 0, "verdict": "wrong", "extracted": answer, "reason": f"not readable: {error!r:.100}"}
    score = min(score, 1.0) if score > CONSOLATION else 0.0
    if score < 1 and is_padded(score, answer, str(entry["answer"])):
        return {"score": 0, "verdict": "wrong", "extracted": answer, "reason": "more than the answer"}
    return {"score": score, "extracted": answer, "reason": f"reasoning-gym's {spec['dataset']} scores {score:g}"}


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in DATASETS:
        sys.exit(f"{__doc__}\ndatasets: {', '.join(sorted(DATASETS))}")
    settings = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    for line in sys.stdin:
        item = json.loads(line)
        try:
            # Some datasets print; the output is for answers only.
            with contextlib.redirect_stdout(sys.stderr):
                answer = pose(sys.argv[1], settings, item["pose"]) if "pose" in item else judge(item)
        except Exception as error:
            answer = {"error": f"{error!r:.300}"}
        print(json.dumps({"id": item.get("id"), **answer}), flush=True)


if __name__ == "__main__":
    main()
