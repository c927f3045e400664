"""The files of the tree, as checks see them."""

import os
import subprocess

# Through the link that Bazel makes, to the tree itself.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class File:
    """One file: its path from the root of the tree, its text, and whether it may be executed."""

    def __init__(self, path, text, executable=False):
        self.path = path
        self.text = text
        self.executable = executable
        self.lines = text.split("\n")

    def is_in(self, *folders):
        return any(self.path.startswith(folder + "/") for folder in folders)

    def is_c(self):
        return self.path.endswith((".c", ".h"))


def _paths():
    """What git tracks or would track; a tree without git (a tarball) has nothing else."""
    git = ["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z",
           "--cached", "--others", "--exclude-standard"]
    if os.path.exists(os.path.join(ROOT, ".git")):
        listed = subprocess.run(git, check=True, capture_output=True).stdout.decode()
        return [path for path in listed.split("\0") if path]
    return [os.path.relpath(os.path.join(folder, name), ROOT)
            for folder, _, names in os.walk(ROOT) for name in names if "__pycache__" not in folder]


def read():
    """Every text file of the tree. Binary ones (corpora, DER) have no style."""
    files = []
    for path in sorted(_paths()):
        full = os.path.join(ROOT, path)
        if not os.path.isfile(full):
            continue  # deleted and not yet committed, or a link to nowhere
        with open(full, "rb") as stream:
            content = stream.read()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            files.append(File(path, text, os.access(full, os.X_OK)))
    return files
