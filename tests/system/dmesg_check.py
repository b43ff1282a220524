#!/usr/bin/python3
"""Judges a Linux kernel's log under Corbel by the log of the same kernel on the same emulated CPU without Corbel.

tests/system/dmesg_check.py BARE.log GUEST.log   prints warnings that only GUEST.log has; exit status 1 if there are any

The logs are output of `dmesg -r`: each line starts with its level as <N>. Numbers do not count in a comparison.
"""
import re
import sys

WARNING = 4
LINE = re.compile(r"^<(\d+)>\[ *\d+\.\d+\] ?(.*)$")
# Always a fault of the machine below, whatever its level.
ALARM = re.compile(r"WARNING:|BUG:|Call Trace|Oops|unchecked MSR|soft lockup|hard LOCKUP|rcu.*(stall|detected)|"
                   r"nobody cared|unstable|general protection|lost.*interrupt|spurious", re.I)


def shape(message):
    """The message without its numbers."""
    return re.sub(r"\b(0x)?[0-9a-f]{2,}\b|\d+", "#", message, flags=re.I).strip()


def warnings(text):
    """The messages that a person would look into: of level warning or worse, or alarming."""
    found = []
    for line in text.splitlines():
        match = LINE.match(line.strip())
        if match and ((int(match.group(1)) & 7) <= WARNING or ALARM.search(match.group(2))):
            found.append(match.group(2))
    return found


def new_warnings(bare, guest):
    known = {shape(message) for message in warnings(bare)}
    return [message for message in warnings(guest) if shape(message) not in known]


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip())
        return 1
    bare, guest = (open(path, encoding="utf-8", errors="replace").read() for path in sys.argv[1:])
    new = new_warnings(bare, guest)
    print("\n".join(new), end="\n" if new else "")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
