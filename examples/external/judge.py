"""A judge in Python for `thinkling verify external --config '{"command": ["python3", "judge.py"]}'`.

It reads a JSON object a line and answers each with a line: right is whoever spells the answer backwards.
"""
import json
import re
import sys

for line in sys.stdin:
    item = json.loads(line)
    found = re.findall(r"<answer>(.*?)</answer>", item["completion"].rpartition("</think>")[2], re.DOTALL)
    if not found:
        judged = {"score": 0, "verdict": "malformed", "reason": "no closed <answer> after the thinking"}
    else:
        right = found[-1].strip() == item["answer"][::-1]
        judged = {"score": int(right), "extracted": found[-1], "reason": "reversed" if right else "not the reverse"}
    # `flush` matters: an answer that stays in a buffer is an answer too late.
    print(json.dumps({"id": item["id"], **judged}), flush=True)
