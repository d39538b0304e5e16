"""Serves any dataset of reasoning-gym (`pip install reasoning-gym`) as poser and judge, over JSON lines.

usage: reasoning_gym_bridge.py DATASET [SETTINGS AS JSON]

{"id", "pose": {"seed", "level"}}             ->  {"id", "prompt", "answer", "spec"}
{"id", "completion", "answer", "spec"}        ->  {"id", "score", "verdict", "extracted", "reason"}

The spec holds what makes the question again, not the question: some entries do not survive JSON. Levels are those of
the dataset's curriculum where it has one; elsewhere only level 0 and settings count.
"""
import contextlib
import json
import re
import sys

from reasoning_gym import create_dataset
from reasoning_gym.factory import DATASETS, create_curriculum, has_curriculum

# What these scorers pay for any answer at all.
CONSOLATION = 0.05


def make(name, seed, level, settings):
    """The dataset with a single question, and that question; a seed of its own each, so that none overlap."""
    fixed = {"seed": seed % 2**31, "size": 1}
    if level > 0 and has_curriculum(name):
        curriculum = create_curriculum(name)
        curriculum.set_global_level(level)
        # The settings win over the curriculum.
        chosen = {**vars(curriculum.generate_configuration(fixed)), **settings, **fixed}
        dataset = create_dataset(name, **chosen)
    else:
        dataset = create_dataset(name, **settings, **fixed)
    return dataset, dataset[0]


def pose(name, settings, wanted):
    spec = {"dataset": name, "seed": wanted["seed"], "level": wanted["level"], "settings": settings}
    _, entry = make(name, spec["seed"], spec["level"], settings)
    answer = entry["answer"]
    return {"prompt": entry["question"], "answer": None if answer is None else str(answer), "spec": spec}


def judge(item):
    found = re.findall(r"<answer>(.*?)</answer>", item["completion"].rpartition("</think>")[2], re.DOTALL)
    if not found:
        return {"score": 0, "verdict": "malformed", "reason": "no closed <answer> after the thinking"}
    spec, answer = item["spec"], found[-1].strip()
    dataset, entry = make(spec["dataset"], spec["seed"], spec["level"], spec["settings"])
    try:
        score = float(dataset.score_answer(answer, entry))
    except Exception as error:  # The scorers parse what the model wrote: a mistake of the model, not of the item.
        return {"score": 0, "verdict": "wrong", "extracted": answer, "reason": f"not readable: {error!r:.100}"}
    score = min(score, 1.0) if score > CONSOLATION else 0.0
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
