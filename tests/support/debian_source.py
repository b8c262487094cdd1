# SPDX-License-Identifier: Apache-2.0
"""Source packages of Debian, by an apt of its own: that of the system stays as it is."""

import os
import subprocess
import sys

MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
SECURITY = os.environ.get("DEBIAN_SECURITY_MIRROR", "http://deb.debian.org/debian-security")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def must(words, folder):
    """Runs it in the folder, or ends with what it said."""
    words = [str(word) for word in words]
    result = subprocess.run(words, cwd=folder, check=False, text=True, stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=1800)
    if result.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit {result.returncode}\n{result.stdout[-2000:]}{result.stderr[-2000:]}")


def fetch(folder, packages):
    """Puts them into the folder, unpacked and patched; those that are there already stay."""
    (folder / "state/lists/partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(
        f"deb-src [signed-by={KEYS}] {MIRROR} bookworm main\n"
        f"deb-src [signed-by={KEYS}] {SECURITY} bookworm-security main\n")
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={folder}/sources.list",
           "-o", "Dir::Etc::sourceparts=/dev/null", "-o", f"Dir::State={folder}/state",
           "-o", f"Dir::Cache={folder}/cache"]
    must([*apt, "update"], folder)
    for package in packages:
        if not list(folder.glob(f"{package}-*/debian")):
            must([*apt, "source", package], folder)


def source_of(folder, package):
    return next(path.parent for path in sorted(folder.glob(f"{package}-*/debian")))
