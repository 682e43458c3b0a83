"""What is measured with: a Pi image of a given size, 43 % of which is mapped, made once and kept."""

import os
import random
import shutil
import subprocess

MIB = 1 << 20
MAPPED = 0.43
BOOT_AT, BOOT_SIZE = 8 * MIB, 512 * MIB


def sh(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


STOCK = 128 << 10


class Content:
    """Bytes that compress as a system's files do, about 4 to 1: phrases out of a stock, and among them what is new."""

    def __init__(self, dice):
        self.dice, self.stock = dice, dice.randbytes(STOCK)

    def bytes(self, size):
        pieces, left, random, stock = [], size, self.dice.random, self.stock
        while left > 0:
            chance = random()
            if chance < 0.82:
                at, length = int(random() * (STOCK - 96)), 16 + int(chance * 80)
                piece = stock[at : at + length]
            else:
                piece = self.dice.randbytes(40)
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)[:size]


def fill(directory, size, dice):
    """Files of the sizes that a system has: mostly small, most bytes in large ones."""
    number, content = 0, Content(dice)
    while size > 0:
        length = min(size, int(dice.choice([300, 3_000, 3_000, 20_000, 20_000, 200_000, 1_000_000, 8_000_000])))
        folder = os.path.join(directory, f"{number // 200:03}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{number:06}"), "wb") as file:
            file.write(content.bytes(length))
        size, number = size - length, number + 1


def make_image(path, size, cardsmith, scratch):
    """The demo's machine in an image of `size` bytes: MBR, FAT32 and an ext4 that is filled up to `MAPPED`."""
    demo, tree = os.path.join(scratch, "demo"), os.path.join(scratch, "tree")
    sh(cardsmith, "demo", demo)
    sh("dd", f"if={demo}/base.img", f"of={scratch}/root.ext4", "bs=4M", "skip=14", "count=40")
    os.makedirs(tree)
    sh("debugfs", "-R", f"rdump / {tree}", f"{scratch}/root.ext4")
    boot_size = min(BOOT_SIZE, size // 8) // MIB * MIB
    root_at = BOOT_AT + boot_size
    # What metadata, journal and boot partition take is mapped, too.
    fill(os.path.join(tree, "usr", "share", "bench"), int(size * MAPPED) - size // 60 - 60 * MIB, random.Random(7))
    partial = path + ".partial"
    with open(partial, "wb") as file:
        file.truncate(size)
    table = f"label: dos\nlabel-id: 0x12345678\nstart={BOOT_AT // 512}, size={boot_size // 512}, type=c\n"
    table += f"start={root_at // 512}, type=83\n"
    sh("sfdisk", partial, input=table.encode())
    # FAT32 needs 65,525 clusters, also on small images.
    clusters = str(max(1, boot_size // (64 * MIB)))
    sh("mkfs.fat", "-F", "32", "-s", clusters, "--offset", str(BOOT_AT // 512), partial, str(boot_size // 1024))
    boot = os.path.join(scratch, "boot")
    os.makedirs(boot)
    sh("mcopy", "-s", "-i", f"{demo}/base.img@@{BOOT_AT}", "::*", boot)
    sh("mcopy", "-s", "-i", f"{partial}@@{BOOT_AT}", *[os.path.join(boot, name) for name in os.listdir(boot)], "::")
    options = f"offset={root_at}"
    sh("mke2fs", "-q", "-F", "-t", "ext4", "-J", "size=16", "-E", options, "-d", tree, partial, f"{(size - root_at) // 1024}k")
    os.rename(partial, path)


RECIPE = """name = "bench"

[image]
source = "{source}"

[sudo]
ssm-user = "no-sudo"
nopasswd = "remove"
{more}
[card]
name = "bench-{{serial:04}}"
"""
ACTIVATION = """
[activation]
from = "file"
path = "activations.csv"
"""
NEWER = """
[[file]]
path = "/opt/newer"
source = "newer"
"""


class Inputs:
    """Everything for one size of image, in `cache`/SIZE."""

    def __init__(self, cache, size, cardsmith, tell):
        self.directory = os.path.join(cache, f"{size // MIB}-MiB")
        self.size, self.cardsmith, self.tell = size, cardsmith, tell
        os.makedirs(self.directory, exist_ok=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def once(self, name, make):
        if not os.path.exists(self.path(name)):
            self.tell(f"making {name} (once)")
            make(self.path(name))
        return self.path(name)

    def image(self):
        """The raw image, dense as a download is: no holes."""

        def make(path):
            scratch = self.path("scratch")
            shutil.rmtree(scratch, ignore_errors=True)
            os.makedirs(scratch)
            make_image(f"{scratch}/base.img", self.size, self.cardsmith, scratch)
            sh("cp", "--sparse=never", f"{scratch}/base.img", path)
            shutil.rmtree(scratch)

        return self.once("base.img", make)

    def packed(self):
        """The image as .img.xz, in blocks as large as those of published images."""
        image = self.image()
        return self.once("base.img.xz", lambda path: self.pack(image, path))

    def pack(self, image, path):
        with open(path + ".partial", "wb") as out:
            subprocess.run(["xz", "-T0", "-2", "--block-size=24MiB", "-c", image], check=True, stdout=out)
        os.rename(path + ".partial", path)

    def recipe(self, source, activation=False):
        name = "activated.toml" if activation else os.path.basename(source) + ".toml"
        with open(self.path(name), "w") as file:
            file.write(RECIPE.format(source=source, more=ACTIVATION if activation else ""))
        return self.path(name)

    def golden(self, activation=False):
        """The golden image of the recipe, raw."""
        return self.made("activated" if activation else "golden", self.recipe(self.image(), activation))

    def newer(self):
        """The golden image a version later: one more file makes up for 1 % of what is mapped."""
        with open(self.path("newer"), "wb") as file:
            file.write(random.Random(8).randbytes(int(self.size * MAPPED / 100)))
        with open(self.path("newer.toml"), "w") as file:
            file.write(RECIPE.format(source=self.image(), more=NEWER))
        return self.made("newer-golden", self.path("newer.toml"))

    def made(self, name, recipe):
        """Made anew each time that the program changed."""
        stamp = self.path(f"{name}.made-by")
        version = str(os.stat(self.cardsmith).st_mtime_ns)
        if not os.path.exists(stamp) or open(stamp).read() != version:
            self.tell("making the golden image")
            sh(self.cardsmith, "golden", recipe, "--out", self.path(f"{name}.img"), "--overwrite")
            with open(stamp, "w") as file:
                file.write(version)
        return self.path(f"{name}.manifest.json")

    def activations(self, count):
        """Pre-issued ones that nobody issued."""
        with open(self.path("activations.csv"), "w") as file:
            file.write("activation_id,activation_code,region\n")
            for n in range(count):
                file.write(f"00000000-0000-4000-8000-{n:012},BenchCode{n:011},eu-central-1\n")
