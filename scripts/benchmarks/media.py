"""Stand-ins for cards: loop devices past the page cache, as quick as the disk or limited like a card.

Nothing else is ever written to: a `Card` makes its file, attaches it, and detaches it again.
"""

import os
import subprocess

THROTTLE = "/sys/fs/cgroup/blkio/blkio.throttle"


def limits_work():
    """Whether this machine can limit a device: the blkio controller of cgroup v1, whose root group counts for all."""
    return os.access(f"{THROTTLE}.write_bps_device", os.W_OK)


class Card:
    """A loop device with direct I/O over a sparse file of `size` bytes in `directory`."""

    def __init__(self, directory, size, write_bps=0, read_bps=0, name="card"):
        self.path = os.path.join(directory, f"{name}.img")
        with open(self.path, "wb") as file:
            file.truncate(size)
        attach = ["losetup", "--find", "--show", "--direct-io=on", self.path]
        self.device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
        number = os.stat(self.device).st_rdev
        self.number = f"{os.major(number)}:{os.minor(number)}"
        self.limit(write_bps, read_bps)

    def limit(self, write_bps, read_bps):
        """Bytes per second; 0 is no limit."""
        if not (write_bps or read_bps) and not limits_work():
            return
        for what, bps in (("write", write_bps), ("read", read_bps)):
            with open(f"{THROTTLE}.{what}_bps_device", "w") as file:
                file.write(f"{self.number} {bps}")

    def blank(self):
        """As new: every run begins with a medium of which no block is allocated."""
        subprocess.run(["blkdiscard", "--force", self.device], check=True, capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.limit(0, 0)
        subprocess.run(["losetup", "--detach", self.device], check=False)
        os.unlink(self.path)
