"""Runs of programs, measured: wall time, CPU time and peak memory of the program and all its children."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Run:
    """One run. `parts` are durations in seconds that the program told of itself; `written` are the bytes that it gave
    to file systems and devices, of which those in memory do not count."""

    wall: float
    cpu: float
    peak: int
    written: int
    parts: dict = field(default_factory=dict)


def run(command, env=None, parts=None, shell=False):
    """Runs `command` to its end and measures it. A program that fails ends the benchmark: its time would mean nothing.

    `wait4` tells of this child alone, and of the children that it waited for itself; peak memory is that of the
    largest of them. `parts`, if given, is called afterwards and answers the program's own durations.
    """
    environment = dict(os.environ, LC_ALL="C", **(env or {}))
    begin = time.monotonic()
    child = subprocess.Popen(
        command, env=environment, shell=shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.stderr.write(said.decode(errors="replace")[-4000:])
        raise SystemExit(f"bench: failed with {child.returncode}: {command}")
    cpu, peak, written = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, usage.ru_oublock * 512
    return Run(wall, cpu, peak, written, parts() if parts else {})


def until_finished(command, env, label):
    """Seconds from the start of `command`, which tells its events as JSON lines, until its task `label` is finished."""
    begin = time.monotonic()
    child = subprocess.Popen(
        command, env=dict(os.environ, **env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    reached = None
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "finished" and event.get("label") == label:
            reached = time.monotonic() - begin
    if child.wait() != 0 or reached is None:
        raise SystemExit(f"bench: no task {label} in {command}, or it failed")
    return reached


def interleaved(contestants, runs, tell):
    """`runs` rounds in which every contestant has one turn, so that whatever else the machine does hits all of them.

    `contestants` maps a name to a function that answers a `Run`.
    """
    results = {name: [] for name in contestants}
    for _ in range(runs):
        for name in contestants:
            result = contestants[name]()
            results[name].append(result)
            tell(f"{name}: {result.wall:.2f} s, {result.cpu:.2f} s CPU")
    return results


def median(values):
    return statistics.median(values)


def ratio(results, ours, theirs):
    """The median over all rounds of our time by theirs in the same round: what slows both down cancels out."""
    return median([a / b for a, b in zip(ours(results), theirs(results))])
