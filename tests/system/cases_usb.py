"""The stick of tools/mkusb: it boots everywhere, what a person edits on it counts, and no disk is overwritten by mistake."""
import os
import re
import subprocess

from harness import INITRD, ROOT, Failure, check, check_says

MB = 2048  # sectors


def tool(*words, answer="", machine=None):
    """Runs a program; returns (exit status, all that it printed)."""
    environment = dict(os.environ, MACHINE=str(machine)) if machine else None
    done = subprocess.run([str(word) for word in words], input=answer, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


def stick(t, config, *files):
    path = t.folder / "stick.img"
    status, said = tool(ROOT / "tools/mkusb", "-o", path, "-c", t.file("vms.conf", config), *files)
    if status:
        raise Failure(f"tools/mkusb: {said}")
    return path


def edit(path, name, content, t):
    """What a person does with an editor, on any computer that reads FAT."""
    status, said = tool("mcopy", "-o", "-i", f"{path}@@1M", t.file("edited", content), f"::{name}")
    check(status == 0, f"mcopy: {said}")


def case_usb_boots(t):
    """A stick boots by BIOS and by UEFI, and its guests travel as modules."""
    path = stick(t, "[vm first]\n", INITRD)
    for more in (["--usb"], ["--usb", "--uefi"]):
        text = t.batch(path, 4, emulator="qemu-tcg", limit=180, more=more)
        check_says(text, r"/guests/initrd\.gz", r"missing: Intel VMX")


def case_media_config(t):
    """tools/mkiso and tools/mkusb say all that is wrong with a vms.conf, by its lines, and make nothing then; they take the files
    that it names from its folder."""
    config = t.file("my.conf", "[vm a]\ncpus = many\nkernel = kernel.bin\n[vm b]\nkernel = kernal.bin\n"
                               "modules = gone x, initrd.gz\n[vm c]\nmemroy = 1M\n")
    t.file("kernel.bin", "no kernel")
    out = t.folder / "medium"
    for program in ("tools/mkiso", "tools/mkusb"):
        status, said = tool(ROOT / program, "-o", out, "-c", config, INITRD)
        check(status == 1 and not out.exists(), f"{program}: status {status}: {said}")
        check_says(said, r"my\.conf:2: VM a: cpus = many: give", r'my\.conf:8: VM c: unknown key "memroy"',
                   r"my\.conf:5: VM b: kernel: no boot module has the name kernal\.bin; did you mean kernel\.bin\?",
                   r"my\.conf:6: VM b: modules: no boot module has the name gone; there are", r"nothing was made")
        check(len(re.findall(r"my\.conf:\d+:", said)) == 4, f"not four mistakes: {said}")
    t.file("my.conf", "[vm a]\nkernel = kernel.bin\ninitrd = initrd.gz\n[vm b]\n")
    for program, listing in (("tools/mkiso", ("xorriso", "-indev", out, "-ls", "/boot")), ("tools/mkusb", ("mdir", "-b", "-i", f"{out}@@1M", "::/guests"))):
        status, said = tool(ROOT / program, "-o", out, "-c", config, INITRD)
        check(status == 0, f"{program}: {said}")
        status, said = tool(*listing)
        check_says(said, r"kernel\.bin", r"initrd\.gz")


def case_usb_edit(t):
    """vms.conf and the command line edited on the stick, as Windows writes them, count at the next boot."""
    path = stick(t, "[vm first]\nmemory = 32M\n")
    text = t.batch(path, 0, limit=180, more=["--usb"])
    check_says(text, r"VM first ended: powered off")
    edit(path, "vms.conf", "[vm second]\r\nmemory = 32M\r\nkernel = kernel.bin\r\n", t)
    edit(path, "guests/kernel.bin", b"no kernel at all", t)
    edit(path, "corbel.cfg", 'set arguments="end=loud"\r\n', t)
    text = t.batch(path, 2, limit=180, more=["--usb"])
    check_says(text, r"kernel\.bin: no kernel", r"\"end=loud\" is ignored")
    check("VM first" not in text, "the old vms.conf still counts")


def disk(machine, name, removable, mb=128, model="Stick 3000"):
    """A disk of a machine that is only a folder."""
    sys = machine / "sys/block" / name
    (sys / "device").mkdir(parents=True, exist_ok=True)
    (sys / "holders").mkdir(exist_ok=True)
    for file, value in (("removable", removable), ("size", mb * MB), ("ro", 0), ("dev", f"8:{ord(name[-1])}"),
                        ("device/vendor", "ACME"), ("device/model", model)):
        (sys / file).write_text(f"{value}\n")
    (machine / "dev").mkdir(exist_ok=True)
    path = machine / "dev" / name
    path.write_bytes(b"precious")
    os.truncate(path, mb * MB * 512)
    return path


def case_usb_asks(t):
    """A disk is written only when it is whole, not in use, and its name was typed; a fixed disk needs two words more."""
    machine = t.folder / "machine"
    tool("rm", "-rf", machine)
    (machine / "proc/self").mkdir(parents=True)
    mounts, swaps = machine / "proc/self/mountinfo", machine / "proc/swaps"
    mounts.write_text("")
    swaps.write_text("Filename Type\n")
    removable, fixed = disk(machine, "sdx", 1), disk(machine, "sdy", 0, model="Disk 1T")
    part = machine / "sys/block/sdx/sdx1"
    (part / "holders").mkdir(parents=True)
    (part / "dev").write_text("8:77\n")
    (part / "size").write_text(f"{100 * MB}\n")

    def attempt(path, answer, status, *says, written=False):
        code, said = tool(ROOT / "tools/mkusb", "-o", path, answer=answer, machine=machine)
        check(code == status, f"exit status {code} where {status} was expected: {said}")
        check_says(said, *says)
        if path.exists():
            check((path.read_bytes()[:8] != b"precious") == written, f"{path} written: {not written}; {said}")

    attempt(removable, "", 1, r"/dev/sdx +128 MB +ACME Stick 3000", r"sdx1 +100 MB", r"nothing was written")
    attempt(removable, "yes\n", 1, r"nothing was written")
    mounts.write_text("36 35 8:77 / /media/photos rw - vfat /dev/sdx1 rw\n")
    attempt(removable, "sdx\n", 1, r"in use: mounted at /media/photos")
    mounts.write_text("")
    swaps.write_text("Filename Type\n/dev/sdx1 partition 1 0 -2\n")
    attempt(removable, "sdx\n", 1, r"in use: swap")
    swaps.write_text("")
    (part / "holders/dm-0").write_text("")
    attempt(removable, "sdx\n", 1, r"in use: part of dm-0")
    (part / "holders/dm-0").unlink()
    attempt(fixed, "sdy\n", 1, r"NOT a removable disk", r"nothing was written")
    (machine / "dev/sdx1").write_bytes(b"precious")
    attempt(machine / "dev/sdx1", "sdx1\n", 1, r"no whole disk")
    attempt(removable, "sdx\n", 0, r"ready", written=True)
    attempt(fixed, "sdy fixed disk\n", 0, r"ready", written=True)
    listed = tool("mdir", "-b", "-i", f"{removable}@@1M", "::")[1]
    check_says(listed, r"corbel\.cfg", r"guests")
    small = disk(machine, "sdz", 1, mb=16)
    attempt(small, "sdz\n", 1, r"16 MB, \d+ are needed")


def case_device_paths(t):
    """No tool writes a file where a device should be, and none takes a device for a file."""
    missing = "/dev/no-such-disk"
    some = t.file("some", "")
    machine = t.folder / "machine"
    (machine / "dev").mkdir(parents=True, exist_ok=True)
    link = t.folder / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(missing)
    refused = [
        (None, r"no such disk", "tools/mkusb", "-o", missing),
        (None, r"no such disk", "tools/mkusb", "-o", link),
        (None, r"no such disk", "tools/mkusb", "-o", "/dev/null"),
        (machine, r"no such disk", "tools/mkusb", "-o", machine / "dev/sdq"),
        (None, r"is a folder", "tools/mkusb", "-o", t.folder),
        (None, r"is no file", "tools/mkiso", "-o", missing),
        (None, r"is no file", "tools/mkiso", "-o", "/dev/null"),
        (machine, r"is no file", "tools/mkiso", "-o", machine / "dev/sdq"),
        (None, r"is no file", "tools/mkinitramfs", missing, some),
        (None, r"lies in /dev", "tools/extract-vmlinux", some, missing),
        (None, r"is no file", "tools/run", "/dev/null"),
        (None, r"no such file", "tools/run", missing),
        (None, r"lies in /dev", "tools/run", "--com2", missing, some),
        (None, r"is no file", "tools/run", "--screenshot", "/dev/full", some),
        (None, r"lies in /dev", "tools/run", "--log", missing, some),
    ]
    for root, words, program, *arguments in refused:
        status, said = tool(ROOT / program, *arguments, machine=root)
        check(status == 1, f"{program} {arguments}: exit status {status}; {said}")
        check_says(said, words)
    for path in (missing, machine / "dev/sdq"):
        check(not os.path.exists(path), f"{path} was written")
    check(os.path.exists("/dev/null") and not os.path.isfile("/dev/null"), "/dev/null is a file now")
