"""Faults that come from outside: SIGKILL at any moment, signals that ask for an end, time limits."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from _faults import Case, Lab, rows_of, wait_for_rows

_KILLS_OF_A_RUN = 8


def kill_cases(lab: Lab, kills: int) -> Iterator[Case]:
    """Kill runs again and again, each resumed from what the kill before left, until enough were killed."""
    done = 0
    while done < kills:
        folder, moments, problem = lab.new_folder(), [], ""
        while len(moments) < min(_KILLS_OF_A_RUN, kills - done):
            fresh = not (folder / "config.json").exists()
            if fresh:  # before config.json is there, there is nothing to resume
                shutil.rmtree(folder, ignore_errors=True)
            words = lab.begin(folder) if fresh else ["resume", folder, "--quiet"]
            with lab.program.running(*words) as child:
                moment = _kill(lab, child, folder)
                said = child.communicate()[1]
            if moment is None:
                if child.returncode != 0:
                    problem = f"exit code {child.returncode}: {lab.said(said)}"
                break  # it came to its end before it was hit
            moments.append(moment)
            problem = problem or _lost(folder)
            if rows_of(folder) >= lab.undisturbed.bits.steps and lab.dice.random() < 0.5:
                break  # nothing but the evaluation is left
        done += len(moments)
        if not moments:
            continue
        name = f"killed {len(moments)} times: {', '.join(moments)}"
        if problem:
            yield Case(name, False, problem, len(moments))
        elif (folder / "config.json").exists():
            yield lab.resumed(name, folder, len(moments))
        else:
            yield Case(name, True, "killed before there was anything to resume", len(moments))


def _kill(lab: Lab, child: subprocess.Popen, folder: Path) -> str | None:
    """Kill a child at a random moment of a random part of its life; say when, or None if it was over."""
    made, dice, last = rows_of(folder), lab.dice, lab.undisturbed.bits.steps
    part = dice.choices(["starting", "in a step", "evaluating"], weights=[2, 7, 1])[0]
    if made >= last:
        part = "evaluating"
    if part == "starting":
        time.sleep(dice.uniform(0.0, lab.undisturbed.seconds / 2))
    elif made >= last:  # nothing tells where it is: any moment
        time.sleep(dice.uniform(0.0, lab.undisturbed.seconds))
    else:
        # A resumed run may first take a row back, that after its checkpoint.
        target = last if part == "evaluating" else min(made + dice.randint(1, 9), last)
        if not wait_for_rows(child, folder, target):
            return None
        time.sleep(dice.uniform(0.0, 2.0 if part == "evaluating" else 0.05))
    if child.poll() is not None:
        return None
    child.send_signal(signal.SIGKILL)
    child.wait()
    return f"{part} ({rows_of(folder)} rows)"


def _lost(folder: Path) -> str:
    """Say what is wrong with what a kill has left: more than one step lost, or rows missing."""
    from nnbf.runs import RunDirectory

    if not (folder / "config.json").exists():
        return ""
    found = RunDirectory.open(folder).checkpoints().load()
    if found.problems:
        return f"a kill has damaged a checkpoint: {found.problems[0]}"
    step, rows = (0 if found.snapshot is None else found.snapshot["driver"]["step"]), rows_of(folder)
    if not step <= rows <= step + 1:
        return f"the checkpoint is at step {step}, the history has {rows} rows"
    return ""


def signal_cases(lab: Lab, count: int) -> Iterator[Case]:
    """Ask runs to end; they must leave a result, and go on from there."""
    for number in range(count):
        asked = (signal.SIGTERM, signal.SIGINT)[number % 2]
        folder = lab.new_folder()
        rows = lab.dice.randint(1, lab.undisturbed.bits.steps - 10)
        with lab.program.running(*lab.begin(folder)) as child:
            wait_for_rows(child, folder, rows)
            child.send_signal(asked)
            said = child.communicate()[1]
        yield _ended(lab, f"{asked.name} after {rows} rows", folder, child.returncode, said, "interrupted")
    folder = lab.new_folder()
    code, said = lab.program.run(*lab.begin(folder, "--time-limit=0.001"))
    yield _ended(lab, "time limit of a millisecond", folder, code, said, "time_limit", "--time-limit=inf")


def _ended(lab: Lab, name: str, folder: Path, code: int, said: str, status: str, *more: str) -> Case:
    if code != 0:
        return Case(name, False, f"exit code {code}: {lab.said(said)}")
    result = json.loads((folder / "result.json").read_text())
    if result["status"] != status or result["n_steps"] != rows_of(folder):
        return Case(name, False, f"status {result['status']}, {result['n_steps']} of {rows_of(folder)} steps")
    code, said = lab.program.run("resume", folder, "--quiet", *more)
    return lab.judged(name, folder, code, said, note=f"status {status} after {result['n_steps']} steps")
