"""Writes turns.jsonl: 200 questions about a robot that turns, with worked solutions.

usage: python3 examples/jsonl/make_turns.py > examples/jsonl/turns.jsonl
"""
import json
import random

COMPASS, TURNS, COUNT = "NESW", 12, 200

draw, seen = random.Random(1), set()
while len(seen) < COUNT:
    heading, turns = draw.randrange(4), "".join(draw.choice("LR") for _ in range(TURNS))
    prompt = f"{COMPASS[heading]} {turns}="
    if prompt in seen:
        continue
    seen.add(prompt)
    steps = ""
    for turn in turns:
        heading = (heading + (1 if turn == "R" else -1)) % 4
        steps += turn + COMPASS[heading]
    print(json.dumps({"prompt": prompt, "answer": COMPASS[heading], "completion": steps}))
