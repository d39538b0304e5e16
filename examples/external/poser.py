"""Poses and judges a whole task over JSON lines: the remainder of a number divided by 7; the level is its digits."""
import json
import random
import re
import sys


def pose(seed, level):
    draw = random.Random(f"{seed}/{level}")  # nothing else is random: the same seed and level give the same question
    digits, remainder, steps = "".join(draw.choices("0123456789", k=level)), 0, ""
    for digit in digits:
        remainder = (10 * remainder + int(digit)) % 7
        steps += f"{digit}{remainder}"
    return {"prompt": f"{digits}%7=", "answer": str(remainder), "solutions": {"long": steps}}


def judge(completion, answer):
    found = re.findall(r"<answer>(.*?)</answer>", completion.rpartition("</think>")[2], re.DOTALL)
    return {"score": int(found[-1:] == [answer]), "extracted": found[-1] if found else None}


for line in sys.stdin:
    item = json.loads(line)
    asked = item.get("pose")
    said = pose(asked["seed"], asked["level"]) if asked else judge(item["completion"], item["answer"])
    print(json.dumps({"id": item["id"], **said}), flush=True)  # without `flush` the line waits in a buffer
