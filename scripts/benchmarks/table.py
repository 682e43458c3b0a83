"""Results as a Markdown table: what was measured, by how much a bar is met or missed, where and when."""

import datetime
import os
import platform


class Table:
    """Rows of: what, measured, compared with, ratio or value, bar, verdict."""

    def __init__(self):
        self.rows = []
        self.notes = []

    def row(self, what, ours, theirs, value, bar, unit="", higher=None):
        """`value` is to be at most `bar`; `None` where there is no bar."""
        if bar is None:
            verdict, shown = "", ""
        else:
            verdict = "PASS" if value <= bar else f"over by {over(value, bar)}"
            shown = f"≤ {bar:g}{unit}"
        self.rows.append((what, ours, theirs, f"{value:.2f}{unit}" if value is not None else "", shown, verdict))

    def note(self, text):
        self.notes.append(text)

    def text(self, size, runs, shared):
        head = ["| what | cardsmith | compared with | value | bar | |", "|---|---|---|---|---|---|"]
        body = ["| " + " | ".join(row) + " |" for row in self.rows]
        where = f"{datetime.date.today()}, {machine()}; image of {size >> 20} MiB; medians of {runs} interleaved runs."
        if shared:
            where += f" Other work ran on the machine (load {shared:.0f}): trust the ratios, not the seconds."
        return "\n".join(head + body + ["", where] + [f"- {note}" for note in self.notes]) + "\n"


def over(value, bar):
    return f"{(value / bar - 1) * 100:.0f} %"


def machine():
    model = platform.machine()
    sha = ""
    try:
        with open("/proc/cpuinfo") as file:
            lines = file.read().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith(("flags", "Features")))
        sha = "SHA instructions" if " sha_ni" in flags or " sha2" in flags else "no SHA instructions"
    except (OSError, StopIteration):
        pass
    return f"{os.cpu_count()} × {model} ({sha}), Linux {platform.release().split('-')[0]}"
