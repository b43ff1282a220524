"""The check of tools/lint that every program, header, Python module and file of the system that a script or a test uses
comes from a package that tools/deps names for that part, or that comes with one of these: what is missing on the machine
of somebody else is here, because it was installed by hand once. What is not here cannot be judged."""
import ast
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PARTS = {"tests/unit/": "unit", "tests/fuzz/": "fuzz", "tests/guests/": "guests", "tests/system/": "system",
         "tests/bench/": "system", "tests/nested/": "nested", "tools/": "all disk nested fresh", "Makefile": "all disk nested fresh",
         **{f"tests/{part}.mk": part for part in ("unit", "fuzz", "guests", "system", "nested")}, "tests/bench.mk": "system",
         ".ci/": "all nested"}
# What README.md says; what the tools do without where it is missing: sudo, and the font, which is fetched then.
GIVEN = {"make", "git", "apt", "sudo", "console-setup-linux"}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
CALLS = {"run", "Popen", "spawn", "tool", "need", "which", "by_program", "run_and_log"}
COMMAND = re.compile(r"(?:^[\t @-]*|[|;&({`]\s*|\b(?:if|then|else|elif|do|while|until|exec|xargs|!)\s+)([a-z][a-z0-9_.+-]*)(?=[\s;)]|$)", re.M)
SYSTEM_FILE = re.compile(r"/usr/(?:share|lib|libexec)/[\w./+-]*\w")


def in_shell(text):
    text = re.sub(r"<<-?'?(\w+)'?.*?^\1$", "", text, flags=re.S | re.M)
    text = re.sub(r"(?:^|\s)#.*", "", text)
    functions = set(re.findall(r"^\s*(\w+)\(\)", text, re.M))
    return set(COMMAND.findall(text)) - functions


def in_makefile(text):
    recipes = re.sub(r"\$\([^()]*\)", "", "\n".join(re.findall(r"^\t(.*)$", text, re.M)))
    return in_shell(re.sub(r'echo ".*"', "", recipes)) | set(re.findall(r"^\w+ :?= ([a-z][\w+-]*)$", text, re.M))


def in_python(text):
    """Programs, and the modules that are imported."""
    programs, modules = set(), set()
    for node in ast.walk(ast.parse(text)):
        words = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            words = node.args[:1] if name in CALLS else []
        elif isinstance(node, ast.List):
            words = node.elts[:1]
        elif isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module.split(".")[0])
        programs |= {word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)}
    return programs, modules - set(sys.stdlib_module_names)


def uses(name, text, language):
    """(word, its file on this machine) for all that a source needs from the system."""
    programs, paths = set(), {}
    if name.endswith((".c", ".h")):
        for header in re.findall(r"^#include <([^>]+)>", text, re.M):
            paths[f"<{header}>"] = [f"/usr/include/{header}", f"/usr/include/x86_64-linux-gnu/{header}"]
    elif name == "Makefile" or name.endswith(".mk"):
        programs = in_makefile(text)
    elif language == "python":
        programs, modules = in_python(text)
        for module in modules:
            paths[module] = [f"/usr/lib/python3/dist-packages/{module}{end}" for end in (".py", "/__init__.py")]
    elif language == "shell" and "busybox" not in text.partition("\n")[0]:  # those run in a guest
        programs = in_shell(text)
    else:
        return
    for word in programs:
        paths[word] = [shutil.which(word, path=PATH) or ""]
    if not name.endswith((".c", ".h")):
        paths |= {path: [path] for path in SYSTEM_FILE.findall(text)}
    for word, candidates in paths.items():
        for path in candidates:
            if os.path.isfile(path):
                yield word, os.path.realpath(path)


def owners(paths):
    """The package of each file. dpkg knows a file of /usr/bin by /bin, too."""
    both = sorted(paths | {path.removeprefix("/usr") for path in paths})
    listed = subprocess.run(["dpkg", "-S", *both], capture_output=True, text=True, check=False).stdout
    found = {}
    for line in listed.splitlines():
        package, _, path = line.partition(": ")
        for full in (path, f"/usr{path}"):
            found.setdefault(full, package.split(":")[0])
    return found


class Installed:
    """The packages of this machine."""

    def __init__(self):
        listed = subprocess.run(["dpkg-query", "-W", "-f", "${Package}|${Essential}|${Priority}|${Provides}|${Pre-Depends},${Depends}\n"],
                                capture_output=True, text=True, check=True).stdout
        self.needs, self.base, self.real = {}, set(GIVEN), {}
        for line in listed.splitlines():
            name, essential, priority, provides, needs = line.split("|", 4)
            self.needs[name] = set(re.findall(r"(?:^|[,|])\s*([a-z0-9.+-]+)", needs))
            for virtual in [name, *re.findall(r"[a-z0-9.+-]+(?= \(|,|$)", provides)]:
                self.real.setdefault(virtual, name)
            if essential == "yes" or priority == "required":
                self.base.add(name)

    def brought_by(self, names):
        """What `apt-get install --no-install-recommends` of these brings, themselves included."""
        seen, todo = set(), [*names, *self.base]
        while todo:
            name = todo.pop()
            name = self.real.get(name, name)
            if name not in seen:
                seen.add(name)
                todo += self.needs.get(name, ())
        return seen


def named(parts):
    listed = subprocess.run([ROOT / "tools/deps", "--list", *parts.split()], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines()}


def complaints(sources, language_of):
    """sources: (name, text) of every file of the project."""
    installed = Installed()
    brought = {parts: installed.brought_by(named(parts)) for parts in set(PARTS.values())}
    found = [(name, parts, word, path) for name, text in sources for start, parts in PARTS.items() if name.startswith(start)
             for word, path in uses(name, text, language_of(name))]
    packages = owners({path for *_, path in found})
    for name, parts, word, path in sorted(found):
        package = packages.get(path)
        if package and package not in brought[parts]:
            yield f"{name}: {word} comes from the package {package}, which 'tools/deps {parts}' does not name"
