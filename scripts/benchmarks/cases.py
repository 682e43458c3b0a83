"""What is measured. Each case adds its rows to the table; the bars are those of the project's speed promise."""

import glob
import hashlib
import json
import os
import shutil
import tempfile
import time

from . import measure
from .inputs import MIB
from .media import Card, limits_work
from .measure import interleaved, median, ratio

RATE = 100_000_000
MEMORY = "/dev/shm"
CALIGULA = "-z none -s skip -f --interactive never --root never --show-all-disks".split()


class Bench:
    """What all cases share."""

    def __init__(self, inputs, peers, runs, table, tell):
        self.inputs, self.peers, self.runs, self.table, self.tell = inputs, peers, runs, table, tell
        self.cardsmith = inputs.cardsmith
        self.scratch = tempfile.mkdtemp(prefix="run-", dir=inputs.directory)

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def environment(self, cache=None):
        """For a run that has the caches of earlier ones, or another one."""
        return {"XDG_CACHE_HOME": cache or self.inputs.path("xdg"), "TMPDIR": self.scratch}

    def card(self, **options):
        return Card(self.scratch, self.inputs.size, **options)

    def flash(self, manifest, targets, *more):
        """One `cardsmith flash`, with the durations of its receipts summed per stage over the slowest card."""
        receipts = tempfile.mkdtemp(dir=self.scratch)
        home = tempfile.mkdtemp(dir=self.scratch)
        command = [self.cardsmith, "--ledger", f"{home}/ledger.sqlite3", "flash", manifest, "--yes"]
        for target in targets:
            command += ["--to", target] + (["--fixed-ok", target] if target.startswith("/dev/") else [])
        env = {**self.environment(), "XDG_STATE_HOME": home}

        def parts():
            stages, bytes_written = [], 0
            for path in glob.glob(f"{receipts}/*.json"):
                report = json.load(open(path))["report"]
                stages.append({one["stage"]: one["milliseconds"] / 1000 for one in report["durations"]})
                bytes_written = report["written"]
            slowest = max(stages, key=lambda stage: sum(stage.values()))
            return {**slowest, "stages": sum(slowest.values()), "bytes": bytes_written}

        return measure.run(command + ["--receipts", receipts, *more], env, parts)

    def mapped(self, manifest):
        ranges = json.load(open(manifest))["map"]
        return sum(one["len"] for one in ranges)

    def dd(self, source, target, size, *flags):
        """`dd` of the same number of bytes in requests of 4 MiB."""
        count = -(-size // (4 * MIB))
        return measure.run(["dd", f"if={source}", f"of={target}", "bs=4M", f"count={count}", *flags])


def seconds(results, name, part=None):
    runs = results[name]
    return f"{median([run.parts[part] if part else run.wall for run in runs]):.2f} s"


def wall(name):
    return lambda results: [run.wall for run in results[name]]


def write_time(run):
    """All that a run does but reading back: what peers that do not verify do."""
    return run.wall - run.parts["verify"]


def write(bench):
    """Writing and verifying one card on a direct-I/O loop device, beside those who write the same."""
    manifest = bench.inputs.golden()
    image = bench.inputs.path("golden.img")
    size = bench.mapped(manifest)
    with bench.card() as card:

        def fresh(run):
            def turn():
                card.blank()
                return run()

            return turn

        contestants = {
            "cardsmith": fresh(lambda: bench.flash(manifest, [card.device])),
            "dd write": fresh(lambda: bench.dd(image, card.device, size, "oflag=direct", "conv=fsync")),
            # Of what the run before wrote: reading holes would cost nothing.
            "dd read": lambda: bench.dd(card.device, "/dev/null", size, "iflag=direct"),
        }
        peers = {
            "bmaptool": ["copy", image, card.device],
            "bmap-rs": ["copy", image, card.device],
            # It reads all back, too, and knows of no map.
            "caligula": ["burn", image, "-o", card.device, *CALIGULA],
        }
        for name, words in peers.items():
            if bench.peers.get(name):
                command = [bench.peers[name], *words]
                contestants[name] = fresh(lambda command=command: measure.run(command))
            elif bench.peers:
                bench.table.note(f"{name} could not be installed here and is not compared with.")
        # The last two side by side, and after those who write everything.
        order = ["cardsmith", *peers, "dd write", "dd read"]
        contestants = {name: contestants[name] for name in order if name in contestants}
        rounds = interleaved(contestants, bench.runs, bench.tell)
    ours = lambda results: [write_time(run) for run in results["cardsmith"]]  # noqa: E731
    mine = f"{median(ours(rounds)):.2f} s"
    for name, bar in (("bmaptool", 0.80), ("bmap-rs", None), ("dd write", 1.10)):
        if name in rounds:
            value = ratio(rounds, ours, wall(name))
            bench.table.row("write, without reading back", mine, f"{name} {seconds(rounds, name)}", value, bar)
    both = lambda results: [a.wall + b.wall for a, b in zip(results["dd write"], results["dd read"])]  # noqa: E731
    value = ratio(rounds, wall("cardsmith"), both)
    passes = f"dd write + dd read {median(both(rounds)):.2f} s"
    bench.table.row("write and read all back", seconds(rounds, "cardsmith"), passes, value, 1.10)
    if "caligula" in rounds:
        value, theirs = ratio(rounds, wall("cardsmith"), wall("caligula")), seconds(rounds, "caligula")
        bench.table.row("write and read all back", seconds(rounds, "cardsmith"), f"caligula {theirs}", value, None)
    gib = size / (1 << 30)
    cpu = median([run.cpu for run in rounds["cardsmith"]]) / gib
    bench.table.row("CPU, write and verify, per GiB", f"{cpu:.2f} s", "", cpu, 1.2, " s")
    peak = median([run.peak for run in rounds["cardsmith"]]) / MIB
    bench.table.row("peak memory, one card", f"{peak:.0f} MiB", "", peak, 64 + 16, " MiB")


def limited(bench):
    """One card and eight on media of 100 MB/s."""
    if not limits_work():
        bench.table.note("Limited media were not measured: they need the blkio controller of cgroup v1.")
        return
    manifest = bench.inputs.golden()
    ideal = bench.mapped(manifest) / RATE
    cards = []
    try:
        for n in range(8):
            cards.append(bench.card(name=f"card-{n}", write_bps=RATE, read_bps=RATE))
        devices = [card.device for card in cards]

        def turn(targets):
            for card in cards:
                card.limit(0, 0)
                card.blank()
                card.limit(RATE, RATE)
            return bench.flash(manifest, targets)

        results = interleaved({"one": lambda: turn(devices[:1]), "eight": lambda: turn(devices)}, bench.runs, bench.tell)
    finally:
        for card in cards:
            card.__exit__()
    writing = median([run.parts["write"] for run in results["one"]])
    bench.table.row(
        "one card of 100 MB/s, writing", f"{writing:.2f} s", f"bytes ÷ rate {ideal:.2f} s", writing / ideal, 1.03
    )
    value = ratio(results, wall("eight"), wall("one"))
    bench.table.row(
        "eight such cards, written and verified", seconds(results, "eight"), f"one {seconds(results, 'one')}", value, 1.10
    )
    peak = median([run.peak for run in results["eight"]]) / MIB
    bench.table.row("peak memory, eight cards", f"{peak:.0f} MiB", "", peak, 64 + 8 * 16, " MiB")


def golden(bench):
    """The golden image from a raw image, beside copies of the same file: one in memory, one on the disk."""
    image, out = bench.inputs.image(), os.path.join(bench.scratch, "golden.img")
    recipe = bench.inputs.recipe(image)
    target = os.path.join(bench.scratch, "copy.img")
    copy = f"cp --sparse=always '{image}' '{target}'"

    def copied(command):
        run = measure.run(command, shell=True)
        os.unlink(target)
        return run

    contestants = {
        "again": lambda: make(bench, recipe, out),
        "first": lambda: make_first(bench, recipe, out),
        "cp": lambda: copied(copy),
        "cp and sync": lambda: copied(f"{copy} && sync '{target}'"),
    }
    measure.run(["cat", image])  # For all from the page cache: what reading a disk takes is not ours to save.
    make(bench, recipe, out)
    results = interleaved(contestants, bench.runs, bench.tell)
    for ours, what in (("first", "golden image from a raw image"), ("again", "the same, of an image that it made one of before")):
        for theirs, shown in (("cp", "cp --sparse=always"), ("cp and sync", "cp --sparse=always, sync")):
            value = ratio(results, wall(ours), wall(theirs))
            bench.table.row(what, seconds(results, ours), f"{shown} {seconds(results, theirs)}", value, 1.5)
    if median(wall("cp")(results)) * 1.5 < median(wall("first")(results)):
        bench.table.note(
            "cp ends with its bytes in memory. A golden image gets its name when they are on the disk, and has a SHA-256: "
            f"of {bench.inputs.size >> 20} MiB that alone takes OpenSSL {hashing_time(image):.2f} s here. The first time, "
            "that of the raw image is computed, too."
        )
    edits = []
    for _ in range(bench.runs):
        command = [bench.cardsmith, "--json", "golden", recipe, "--out", out, "--overwrite"]
        edits.append(measure.until_finished(command, bench.environment(), "scrub"))
        discard(out)
    bench.table.row("of that, opening, planning, editing and scrubbing", f"{median(edits):.2f} s", "", median(edits), 1, " s")


def hashing_time(path):
    """Seconds that the SHA-256 of a file in the page cache takes."""
    begin = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        digest = hashlib.sha256()
        while part := file.read(128 << 10):
            digest.update(part)
    return time.monotonic() - begin


def make(bench, recipe, out, cache=None):
    run = measure.run([bench.cardsmith, "golden", recipe, "--out", out, "--overwrite"], bench.environment(cache))
    discard(out)
    return run


def make_first(bench, recipe, out):
    """As on a machine that never saw the image."""
    with tempfile.TemporaryDirectory(dir=bench.scratch) as cache:
        return make(bench, recipe, out, cache)


def discard(image):
    """Removes an image and what lies beside it. To take away an old one of gigabytes would count for the next run."""
    for path in glob.glob(image.removesuffix("img") + "*"):
        os.unlink(path)


def xz(bench):
    """The golden image from .img.xz with an empty cache, beside decoding alone."""
    packed, out = bench.inputs.packed(), os.path.join(bench.scratch, "golden.img")
    recipe = bench.inputs.recipe(packed)

    decode = lambda: measure.run(f"xz -T0 -dc '{packed}' >/dev/null", shell=True)  # noqa: E731
    results = interleaved({"cardsmith": lambda: make_first(bench, recipe, out), "xz": decode}, bench.runs, bench.tell)
    value = ratio(results, wall("cardsmith"), wall("xz"))
    theirs = f"xz -T0 -dc {seconds(results, 'xz')}"
    bench.table.row("golden image from .img.xz", seconds(results, "cardsmith"), theirs, value, 1.05)
    if value > 1.05:
        bench.table.note(
            "From .img.xz: decoding keeps every core busy, so all else comes on top of it. The edits are known when the last "
            f"byte is decoded, and no digest of the edited image can begin before: {hashing_time(bench.inputs.image()):.2f} s."
        )


def card(bench):
    """What a card costs beside its writing: time less the stages of its receipt, and bytes on any disk but the card."""
    manifest = bench.inputs.golden(activation=True)
    bench.inputs.activations(20)

    def flashed(directory):
        target = os.path.join(directory, "card.img")
        try:
            return bench.flash(manifest, [target])
        finally:
            os.unlink(target)

    times = [(run.wall - run.parts["stages"]) * 1000 for run in (flashed(bench.scratch) for _ in range(bench.runs))]
    beyond = median(times)
    bench.table.row("one more card beyond its writing, time", f"{beyond:.0f} ms", "", beyond, 100, " ms")
    # What goes to a file in memory does not count as written.
    if shutil.disk_usage(MEMORY).free < bench.inputs.size:
        bench.table.note(f"Bytes beside a card were not measured: {MEMORY} has no room for one.")
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        size = median([flashed(directory).written / MIB for _ in range(bench.runs)])
    bench.table.row("one more card beyond its writing, bytes", f"{size:.2f} MiB", "", size, 1, " MiB")


def changed(bench):
    """A card that is written again with a golden image of which 1 % changed, on media that read 3 times faster."""
    if not limits_work():
        return
    before, after = bench.inputs.golden(), bench.inputs.newer()
    with bench.card(name="changed") as card:

        def turn(*flags):
            card.limit(0, 0)
            card.blank()
            bench.flash(before, [card.device])
            card.limit(RATE, 3 * RATE)
            return bench.flash(after, [card.device], *flags)

        contestants = {"changed": lambda: turn("--changed-only"), "whole": lambda: turn()}
        results = interleaved(contestants, bench.runs, bench.tell)
    value = ratio(results, wall("changed"), wall("whole"))
    theirs = f"whole {seconds(results, 'whole')}"
    bench.table.row("--changed-only, 1 % changed", seconds(results, "changed"), theirs, value, 0.45)


CASES = {"write": write, "limited": limited, "golden": golden, "xz": xz, "card": card, "changed": changed}
