"""Where a tool may write."""
import os
import stat


def why_no_file(path):
    """Why this path cannot be a file that is written; empty if it can. A file in /dev would stand in a device's place."""
    real = os.path.realpath(path)
    if os.path.isdir(real):
        return "is a folder"
    if os.path.exists(real) and not stat.S_ISREG(os.stat(real).st_mode):
        return "is no file but a device or a pipe"
    if any(name.startswith("/dev/") and not name.startswith("/dev/shm/") for name in (os.path.abspath(path), real)):
        return "lies in /dev, where devices are and no files"
    return ""
