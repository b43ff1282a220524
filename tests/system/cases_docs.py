"""What README.md and docs/ tell people to type: each word of it is known, and the pages that promise it work as they stand."""
import importlib.machinery
import importlib.util
import re
import shlex
import shutil
import subprocess

from harness import INITRD, KERNEL, PROMPT, ROOT, check, check_says

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = re.compile(r"(make|tools/|tests/|build/unit/)")
SHELL = re.compile(r"(cat|sed|nasm|make|tools/|build/unit/)")
TESTS = {"unit": "tests/unit", "fuzz": "tests/fuzz", "guests": "tests/guests", "system": "tests/system"}


def blocks(page):
    """The indented blocks of a page, without their four blanks."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page.read_text(encoding="utf-8"), re.M)
    return ["\n".join(line[4:] for line in block.strip("\n").split("\n")) for block in found]


def commands(page):
    """Lines of blocks, and words in backquotes, that call something of ours; comments apart."""
    lines = [line for block in blocks(page) for line in block.split("\n")]
    lines += [words.replace("\n", " ") for words in re.findall(r"`([^`]+)`", page.read_text(encoding="utf-8"))]
    for line in lines:
        if OURS.match(line.strip()):
            yield re.split(r"\s+#|;", line.strip())[0]


def module_of(path):
    loader = importlib.machinery.SourceFileLoader("documented", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("documented", loader))
    loader.exec_module(module)
    return module


def faults_of_make(words, page):
    makefile = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "Makefile", *(ROOT / "tests").glob("*.mk")))
    known = set(" ".join(re.findall(r"^\.PHONY: (.*)", makefile, re.M)).split())
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    targets = [word for word in words if "=" not in word and not word.startswith("-")]
    yield from (f"make knows no {name}=" for name in settings if f"$({name}" not in makefile)
    yield from (f"make has no target {target}" for target in targets if target not in known and not target.startswith("build/"))
    folder = TESTS.get(targets[0]) if targets else None
    for name in settings.get("T", "").split() if folder else ():
        sources = list((ROOT / folder).glob("*.*"))
        is_there = f"{folder}/{name}.c" in page or any(name == source.stem or f"_{name}(t)" in source.read_text(encoding="utf-8") for source in sources)
        if not is_there and name not in ("selftest", "test_name", "name", "fuzz_name"):
            yield f"{targets[0]} has no {name}"


def faults_of(command, page):
    """What of it cannot be. `page` is the text around it."""
    try:
        program, *words = shlex.split(command)
    except ValueError as error:
        return [f"{error}"]
    if program == "make":
        return list(faults_of_make(words, page))
    if program.startswith("build/unit/"):
        return [] if (ROOT / f"tests/unit/{program[11:]}.c").exists() else ["there is no such test"]
    path = ROOT / program
    if not path.exists():
        return ["there is no such file"]
    if program == "tools/run":
        parser = module_of(path).options()
        parser.error = lambda text: (_ for _ in ()).throw(ValueError(text))
        try:
            parser.parse_args(words if "-h" not in words else ["iso"])
        except ValueError as error:
            return [] if "ISO" in str(error) else [str(error)]  # a part of a line
    elif any(word.startswith("-") for word in words) and path.is_file():
        said = subprocess.run([path, "-h"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        return [f"no option {word}" for word in words if re.match(r"--?[a-z]+$", word) and not re.search(rf"(?<!\w){word}\b", said)]
    return []


def sandbox(t):
    """A folder that looks like Corbel's own, to write files into; with a kernel and an initrd of the reader's."""
    folder = t.folder / "here"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in ROOT.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "vmlinuz").symlink_to(KERNEL)
    (folder / "initrd.gz").symlink_to(INITRD)
    return folder


def shell(script, folder):
    done = subprocess.run(["bash", "-e"], input=script, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    said = done.stdout.replace("\r", "")
    check(done.returncode == 0, f"exit status {done.returncode}: {said[-3000:]}")
    return said


def follow(page, folder):
    """Types every block that is a command, and looks for the lines of the others in what was printed."""
    parts = blocks(ROOT / page)
    said = shell("\n".join(part for part in parts if SHELL.match(part)), folder)
    check(any(not SHELL.match(part) for part in parts), f"{page} shows no output")
    for part in parts:
        for line in [] if SHELL.match(part) else part.split("\n"):
            check(line in said, f"{page} shows '{line}', which was not printed: {said[-3000:]}")


def case_documented(t):
    """Each command in README.md and docs/ has a program, options, targets, variables and tests that exist; media can be made."""
    found = [(page.relative_to(ROOT), command) for page in PAGES for command in commands(page)]
    check(len(found) > 60, f"only {len(found)} commands were found")
    faults = [f"{page}: {command}: {fault}" for page, command in found for fault in faults_of(command, (ROOT / page).read_text(encoding="utf-8"))]
    check(not faults, "\n".join(faults))
    folder = sandbox(t)
    shutil.copy(ROOT / "tools/vms.conf", folder / "vms.conf")
    made = 0
    for page, command in found:
        if re.match(r"tools/mk(iso|usb) -o ", command) and page.stem != "first-guest":  # which makes its own files
            shell(re.sub(r"-o \S+", "-o made.img", command), folder)
            made += 1
    check(made >= 4, f"only {made} lines make a medium")


def case_readme_guest(t):
    """README.md's own guest: its vms.conf and its lines, as they stand, lead to a shell."""
    folder = sandbox(t)
    config, lines = (next(part for part in blocks(ROOT / "README.md") if part.startswith(start)) for start in ("[vm", "make iso"))
    (folder / "vms.conf").write_text(config + "\n")
    *before, run = [line.split("#")[0].strip() for line in lines.split("\n")]
    shell("\n".join(before), folder)
    words = shlex.split(run)
    check(words[0] == "tools/run", f"the last line is {run}")
    console = t.boot(folder / words[-1], memory=512, more=words[1:-1])
    console.expect(PROMPT, 300)
    check(console.run("nproc") == re.search(r"^cpus *= *(\d+)", config, re.M)[1], "not the CPUs that vms.conf says")
    console.type("poweroff -f\r")
    console.ends(0)


def case_first_guest(t):
    """docs/first-guest.md, to the letter."""
    follow("docs/first-guest.md", sandbox(t))


def not_copied(path, names):
    """Of the copy in which something is changed: what has been built for the image and the unit tests is worth having."""
    if path == str(ROOT):
        return [".git"]
    built = ("host", "unit", "target", "guests")
    return [name for name in names if (ROOT / "build" / name).is_dir() and name not in built] if path == str(ROOT / "build") else []


def case_new_handler(t):
    """docs/new-handler.md, to the letter, in a copy."""
    folder = t.folder / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT, folder, symlinks=True, ignore=not_copied)
    follow("docs/new-handler.md", folder)
