#!/usr/bin/env python3
"""Breaks runs of the program from outside, and checks that each one ends with the same bits as a run that was left alone.

    python3 tests/torture.py kill --count 200     kill -9 at random file-system calls (needs strace)
    sudo python3 tests/torture.py power --count 20     power failures (needs root, a loop device and mkfs.ext4)

THINKLING names the program; the default is target/release/thinkling. Too slow, and too much to need, for `cargo test`.
"""

import argparse
import filecmp
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("THINKLING", str(ROOT / "target/release/thinkling"))
LAST = "checkpoints/eval-1"
RECIPE = """
name = "torture"
seed = 7

[task]
name = "parity"
level = 6

[model]
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2
kv_lora_rank = 8
qk_nope_head_dim = 4
qk_rope_head_dim = 4
v_head_dim = 8
intermediate_size = 32
moe_intermediate_size = 16
n_routed_experts = 4

[[stage]]
kind = "pretrain"
steps = {pretrain}
batch_size = 32
learning_rate = 0.02
warmup_steps = 4
save_every = 7
evaluate_every = 30
shares = {{ direct = 0.5, long = 0.5 }}
evaluation = {{ count = 16 }}

[[stage]]
kind = "grpo"
steps = {grpo}
warmup_steps = 1
prompts = 8
group_size = 8
max_new_tokens = 20
save_every = 3
evaluate_every = 10
keep_best = true
pool = {{ size = 16, easy = 0.9, tries = 3 }}
kl_coefficient = 0.01
evaluation = {{ count = 16 }}
readiness = {{ samples = 16, action = "off" }}

[[stage]]
kind = "eval"
count = 16
"""
# Calls that change files or folders; each becomes a moment to die.
CALLS = ["openat", "write", "fsync", "fdatasync", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink",
         "unlinkat", "rmdir", "ftruncate", "flock", "fchmod"]
# What a run does not determine: times, and work that was paid twice.
TIMES = {"wall_s", "tokens_per_s", "mfu", "cost_usd", "flops"}


def train(recipe, out, *, before=(), more=()):
    command = [*before, PROGRAM, "train", str(recipe), "--out", str(out), "--threads", "1", "--resume", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(process):
    """Waits; fails with the program's words unless it ended well."""
    told = process.communicate()[1]
    if process.returncode != 0:
        sys.exit(f"a resume ended with {process.returncode}:\n{told}")
    return told


def result(out):
    """Everything that must not depend on interruptions."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rows = [{key: value for key, value in row.items() if key not in TIMES and not key.startswith("verifying_")}
            for row in rows]
    files = [(out / LAST / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")]
    assert json.loads((out / "summary.json").read_text())["status"] == "done"
    return rows, (out / "rollouts.jsonl").read_bytes(), files


def check(out, whole, name):
    if result(out) != whole:
        sys.exit(f"{name}: {out} differs from the run that was left alone")
    remains = [path for path in out.rglob(".unfinished-*")]
    if remains:
        sys.exit(f"{name}: remains: {remains}")


def kill(folder, count, chance):
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(pretrain=42, grpo=12))
    log = folder / "calls"
    finished(train(recipe, folder / "whole", before=["strace", "-f", "-o", str(log), "-e", "trace=" + ",".join(CALLS)]))
    whole = result(folder / "whole")
    seen = {}
    for call in re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE):
        seen[call] = seen.get(call, 0) + 1
    print(f"a whole run makes {sum(seen.values())} calls: {seen}", flush=True)
    kills, runs, died_at = 0, 0, {}
    while kills < count:
        out = folder / f"run-{runs}"
        while True:
            call = chance.choice(sorted(seen))
            # As often among the first calls as among many.
            number = int(2 ** chance.uniform(0, max(seen[call].bit_length() - 1, 1)))
            inject = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                      f"inject={call}:signal=SIGKILL:when={number}"]
            process = train(recipe, out, before=inject)
            told = process.communicate()[1]
            if process.returncode == 0:
                break
            if process.returncode != -signal.SIGKILL:
                sys.exit(f"a resume in {out} ended with {process.returncode}:\n{told}")
            kills += 1
            died_at[call] = died_at.get(call, 0) + 1
            if kills >= count:
                finished(train(recipe, out))
                break
        check(out, whole, f"run {runs}")
        runs += 1
        shutil.rmtree(out)
    print(f"{kills} of {kills} kills resumed, {runs} runs of {runs} with the same bits; died at {died_at}")


class Disk:
    """An ext4 file system in a file, mounted."""

    def __init__(self, image, mount):
        self.image, self.mount = image, mount
        mount.mkdir(exist_ok=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _ in range(50):
            if subprocess.run(["umount", str(self.mount)], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.1)
        sys.exit(f"cannot unmount {self.mount}")


def snapshot(process, image, copy):
    """Copies what the disk holds now, and nothing that the system still keeps in memory.

    A call that writes goes on until it is done, and the file system has a thread of its own. So the copy counts when nothing
    was written meanwhile: an image of two moments is one that no power failure leaves.
    """
    tasks = pathlib.Path(f"/proc/{process.pid}/task")
    while process.poll() is None and any(not re.search(r"\) [Tt] ", (task / "stat").read_text()) for task in tasks.iterdir()):
        time.sleep(0.002)
    while True:
        shutil.copyfile(image, copy)
        if filecmp.cmp(image, copy, shallow=False):
            return


def power(folder, count, chance):
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(pretrain=900, grpo=60))
    started = time.monotonic()
    finished(train(recipe, folder / "whole"))
    lasts = time.monotonic() - started
    whole = result(folder / "whole")
    images = [folder / "disk-a", folder / "disk-b"]
    resumed_from = []
    for number in range(count):
        with open(images[0], "wb") as image:
            image.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(images[0])], check=True)
        # The first failure comes soon after the start, the second one soon after the resume.
        for current, after in [(images[0], images[1]), (images[1], images[0])]:
            with Disk(current, folder / "mount") as disk:
                process = train(recipe, disk.mount / "run")
                while not (disk.mount / "run/metrics.jsonl").exists():
                    if process.poll() is not None:
                        sys.exit(f"failure {number}: the run ended:\n{process.communicate()[1]}")
                    time.sleep(0.005)
                time.sleep(chance.uniform(0, lasts / 8))
                # A run that is already over must survive as well.
                if process.poll() is None:
                    process.send_signal(signal.SIGSTOP)
                elif process.returncode != 0:
                    sys.exit(f"failure {number}: the run ended:\n{process.communicate()[1]}")
                snapshot(process, current, after)
                process.kill()
                process.communicate()
        with Disk(images[0], folder / "mount") as disk:
            out = disk.mount / "run"
            finished(train(recipe, out))
            check(out, whole, f"failure {number}")
            resumes = json.loads((out / "manifest.json").read_text())["resumes"]
            resumed_from.append([resume["from"] for resume in resumes])
        print(f"failure {number + 1}: resumed from {resumed_from[-1]}, same bits", flush=True)
    print(f"{count} of {count} runs resumed after two power failures each, all with the same bits")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=["kill", "power"])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        way = {"kill": kill, "power": power}[arguments.way]
        way(pathlib.Path(folder), arguments.count, random.Random(arguments.seed))


if __name__ == "__main__":
    main()
