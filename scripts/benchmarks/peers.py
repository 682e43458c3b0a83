"""The programs that we are measured against, installed where they are not there: one that cannot be had is said so."""

import os
import shutil
import subprocess

SBIN = "/usr/sbin:/sbin"


def which(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":" + SBIN)


def bmaptool(cache, tell):
    """Debian's package, else PyPI's in an environment of its own."""
    if which("bmaptool"):
        return which("bmaptool")
    tell("installing bmap-tools")
    if which("apt-get") and quietly("apt-get", "-qq", "-y", "install", "--no-install-recommends", "bmap-tools"):
        return which("bmaptool")
    home = os.path.join(cache, "bmaptool")
    if quietly("python3", "-m", "venv", home) and quietly(f"{home}/bin/pip", "install", "-q", "bmaptool"):
        return f"{home}/bin/bmaptool"
    return None


def from_crates(name, cache, tell):
    """`cargo install` into the cache, so that nobody's own programs change."""
    program = os.path.join(cache, "cargo", "bin", name)
    failed = os.path.join(cache, f"{name}.does-not-build")
    if os.path.exists(program):
        return program
    if os.path.exists(failed) or not which("cargo"):
        return None
    tell(f"building {name} (once)")
    if quietly("cargo", "install", "--quiet", "--locked", "--root", os.path.join(cache, "cargo"), name):
        return program
    with open(failed, "w") as file:
        file.write("remove this file to try again\n")
    return None


def quietly(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
