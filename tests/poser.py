"""Poses parity of a string of bits, and judges; the first argument says in which way it fails."""
import json
import os
import random
import re
import sys
import time

MODE = sys.argv[1]


def pose(wanted):
    seed, level = wanted["seed"], wanted["level"]
    draw = random.Random(f"{seed}/{level}")
    if MODE == "always":
        draw = random.Random(1)
    if MODE == "unsteady":
        draw = random.Random()
    width = wanted.get("settings", {}).get("width", 6)
    bits = [draw.randrange(2) for _ in range(width)]
    so_far, steps = 0, ""
    for bit in bits:
        so_far ^= bit
        steps += f"{bit}{so_far}"
    prompt = "Parity of " + "".join(map(str, bits)) + "="
    if MODE == "unprintable" or MODE == "strange" and seed % 4 == 0:
        prompt += "\x1b[2J"
    if MODE == "changed":
        prompt = "The p" + prompt[1:]
    return {"prompt": prompt, "answer": str(so_far), "spec": {"bits": bits}, "solutions": {"long": steps}}


def judge(item):
    assert set(item["spec"]) == {"bits"}, "a judge gets the spec as it was posed"
    found = re.findall(r"<answer>(.*?)</answer>", item["completion"].rpartition("</think>")[2], re.DOTALL)
    if not found:
        return {"score": 0, "verdict": "malformed"}
    return {"score": int(found[-1] == str(sum(item["spec"]["bits"]) % 2)), "extracted": found[-1]}


for count, line in enumerate(sys.stdin, 1):
    if MODE == "mortal" and count % 150 == 0 or MODE == "dead":
        os.kill(os.getpid(), 9)
    if MODE == "hangs":
        time.sleep(1000)
    item = json.loads(line)
    answer = pose(item["pose"]) if "pose" in item else judge(item)
    if MODE == "moody" and "pose" not in item and item["spec"]["bits"][0] == 1:
        answer = {"error": "not today"}
    if MODE == "garbage":
        answer = {"question": answer["prompt"]}
    print(json.dumps({"id": item["id"], **answer}), flush=True)
