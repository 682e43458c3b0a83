#!/usr/bin/python3
"""A file system with one file, `card`, that keeps its bytes in BACKING and misbehaves as asked.

    faulty_fuse.py BACKING MOUNTPOINT [FAULT...]

A FAULT is a word, or a word and an offset in bytes:
    write-eio=AT    writes that cover AT fail
    write-drop      every write is acknowledged and dropped, as by a card that went read-only
    write-drop=AT   as above, for writes that reach AT or further
    write-short=AT  a write that covers AT takes half of its bytes, and says so
    write-enospc=AT writes that reach AT or further find no space
    lose-after=N    the Nth write (from 0) and all after it are acknowledged and lost
    wrap=SIZE       addresses are folded back at SIZE
    stall=AT        a write that covers AT is never answered, nor is anything after it
    fsync-eio=N     the Nth fsync (from 0) and all after it fail
    read-flip=AT    a bit of the byte at AT reads flipped, always
    read-eio=AT     reads that cover AT fail
Every test's own file: nothing here is shared, and the process is killed when the test is done.
"""

import errno
import os
import stat
import sys
import time

try:
    import fusepy as fuse
except ImportError:  # Its name outside of Debian.
    import fuse


class Card(fuse.Operations):
    def __init__(self, backing, faults):
        self.file = os.open(backing, os.O_RDWR)
        self.faults = faults
        self.fsyncs = self.writes = 0

    def fail(self, code):
        raise fuse.FuseOSError(code)

    def getattr(self, path, _handle=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != "/card":
            self.fail(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": os.fstat(self.file).st_size}

    def readdir(self, _path, _handle):
        return [".", "..", "card"]

    def pieces(self, length, at):
        """(place in the file, place in the request, length): one, or several where addresses are folded."""
        size, done = self.faults.get("wrap"), 0
        while done < length:
            place = (at + done) % size if size else at + done
            run = min(length - done, size - place) if size else length - done
            yield place, done, run
            done += run

    def covers(self, fault, at, length):
        return at <= self.faults.get(fault, -1) < at + length

    def read(self, _path, length, at, _handle):
        if self.covers("read-eio", at, length):
            self.fail(errno.EIO)
        data = bytearray()
        for where, _, run in self.pieces(length, at):
            data += os.pread(self.file, run, where)
        if self.covers("read-flip", at, len(data)):
            data[self.faults["read-flip"] - at] ^= 1
        return bytes(data)

    def write(self, _path, data, at, _handle):
        while self.covers("stall", at, len(data)):
            time.sleep(60)
        if self.covers("write-eio", at, len(data)):
            self.fail(errno.EIO)
        if at + len(data) > self.faults.get("write-enospc", 1 << 62):
            self.fail(errno.ENOSPC)
        if self.covers("write-short", at, len(data)):
            data = data[: len(data) // 2]
        self.writes += 1
        if self.writes > self.faults.get("lose-after", 1 << 62):
            return len(data)
        if at + len(data) <= self.faults.get("write-drop", 1 << 62):
            for where, done, run in self.pieces(len(data), at):
                os.pwrite(self.file, data[done : done + run], where)
        return len(data)

    def fsync(self, _path, _data_only, _handle):
        self.fsyncs += 1
        if self.fsyncs > self.faults.get("fsync-eio", 1 << 62):
            self.fail(errno.EIO)

    def truncate(self, _path, _length, _handle=None):
        self.fail(errno.EPERM)


def main():
    backing, mountpoint, *words = sys.argv[1:]
    faults = {name: int(value or 0) for name, _, value in (word.partition("=") for word in words)}
    fuse.FUSE(
        Card(backing, faults),
        mountpoint,
        foreground=True,
        nothreads=True,
        # Every read and write reaches us, in runs as long as the kernel makes them.
        direct_io=True,
        big_writes=True,
    )


main()
