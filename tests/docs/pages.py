"""The walk-throughs of README.md and docs/: fenced blocks with a mark before them, and the shells that run them."""

import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

MARK = re.compile(r"<!-- walk: ([a-z0-9-]+) -->")
TIMEOUT = 3600  # of one block, in seconds: a whole base is one
CONSOLE_TIMEOUT = 1200  # a boot on a machine without virtualization that has other work
# Reads one line of shell a time from descriptor 4, and says on 3 how it ended; the variables of a block are there in
# the next one.
DRIVER = r"""
set -Eeuo pipefail
trap 'echo "failed $LINENO $?" >&3' ERR
while IFS= read -r -u 4 line; do
  eval "$line" </dev/null
  echo done >&3
done
"""


class Failed(Exception):
    pass


class Block:
    def __init__(self, page, first, lines):
        self.page, self.first, self.lines = page, first, lines

    def last(self):
        """The line where its last command begins."""
        commands = [i for i, line in enumerate(self.lines) if line.strip() and not line.lstrip().startswith("#")]
        at = commands[-1]
        while at > 0 and self.lines[at - 1].endswith("\\"):
            at -= 1
        return self.first + at


def blocks(source):
    """Every marked block, by its name."""
    found = {}
    for path in [source / "README.md", *sorted((source / "docs").glob("*.md"))]:
        page = str(path.relative_to(source))
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            if "walk:" not in line:
                continue
            mark = MARK.fullmatch(line)
            if not mark:
                raise Failed(f"{page}:{number}: expected <!-- walk: NAME --> and nothing else, found: {line}")
            if number == len(lines) or not lines[number].startswith("```"):
                raise Failed(f"{page}:{number}: expected a fenced block in the next line")
            try:
                end = lines.index("```", number + 1)
            except ValueError:
                raise Failed(f"{page}:{number + 1}: this block has no end") from None
            block = Block(page, number + 2, lines[number + 1:end])
            if not any(text.strip() and not text.lstrip().startswith("#") for text in block.lines):
                raise Failed(f"{page}:{number + 1}: this block has no command")
            if mark[1] in found:
                raise Failed(f"{page}:{number}: there is a second block {mark[1]}")
            found[mark[1]] = block
    return found


class Machine:
    """A shell in a directory of its own, as one person has it."""

    def __init__(self, home, log, environment):
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.log = home, log
        to_shell, self.commands = os.pipe()
        self.answers, from_shell = os.pipe()

        def descriptors():
            os.dup2(to_shell, 100)
            os.dup2(from_shell, 101)
            os.dup2(100, 4)
            os.dup2(101, 3)
            os.closerange(5, 102)

        with log.open("ab") as output:
            self.shell = subprocess.Popen(
                ["/bin/bash", "-c", DRIVER, "bash"], cwd=home, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**environment, "HOME": str(home)}, close_fds=False, preexec_fn=descriptors,
                start_new_session=True)
        os.close(to_shell)
        os.close(from_shell)
        self.unread = b""

    def answer(self):
        while b"\n" not in self.unread:
            if not select.select([self.answers], [], [], TIMEOUT)[0]:
                return f"nothing for {TIMEOUT} s"
            read = os.read(self.answers, 4096)
            if not read:
                return f"the shell ended with {self.shell.wait()}"
            self.unread += read
        line, self.unread = self.unread.split(b"\n", 1)
        return line.decode()

    def script(self, block):
        """The block as a file, in which lines have the numbers they have in the page."""
        script = self.home / ".walk" / block.page
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("\n" * (block.first - 1) + "\n".join(block.lines) + "\n")
        return script

    def run(self, block, code, variables):
        """Runs a block; its last command ends with `code`, and every other one with 0."""
        script = self.script(block)
        line = "".join(f"export {name}='{value}'; " for name, value in variables.items())
        if code == 0:
            line += f"source '{script}'"
        else:
            line += f"set +e; (set -e; source '{script}'); set -e"
        os.write(self.commands, line.encode() + b"\n")
        first = None
        while (answer := self.answer()).startswith("failed"):
            first = first or answer.split()[1:]
            if code == 0:
                break
        if first is None and answer != "done":
            raise Failed(f"{block.page}:{block.first}: a command of this block ended the shell: {answer}")
        at, found = (int(first[0]), int(first[1])) if first else (block.last(), 0)
        if found != code or (code != 0 and at < block.last()):
            expected = code if at >= block.last() else 0
            raise Failed(f"{block.page}:{at}: expected exit code {expected}, found {found}")

    def start(self, block, variables):
        """Starts a block whose console is ours from then on."""
        ends = [self.home / ".walk" / name for name in ("typed", "shown")]
        for end in ends:
            os.mkfifo(end)
        typed, shown = (os.open(end, os.O_RDWR | os.O_CLOEXEC) for end in ends)
        line = "".join(f"export {name}='{value}'; " for name, value in variables.items())
        line += f"source '{self.script(block)}' <'{ends[0]}' >'{ends[1]}' 2>&1 &"
        os.write(self.commands, line.encode() + b"\n")
        if (answer := self.answer()) != "done":
            raise Failed(f"{block.page}:{block.first}: {answer}")
        return Console(typed, shown, self.log)

    def end(self):
        os.close(self.commands)
        os.killpg(self.shell.pid, signal.SIGKILL)  # what a block left running, too
        self.shell.wait()
        os.close(self.answers)


class Console:
    """What a program shows, and what is typed at it."""

    def __init__(self, typed, shown, log):
        self.typed, self.shown, self.log = typed, shown, log
        self.unread = b""

    def expect(self, text, seconds=CONSOLE_TIMEOUT):
        """Waits for the text in what came since the last one; returns what came before it."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.unread:
            if not select.select([self.shown], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Failed(f"expected {text!r} on the console within {seconds} s")
            read = os.read(self.shown, 65536)
            with self.log.open("ab") as log:
                log.write(read)
            self.unread += read
        before, self.unread = self.unread.split(text.encode(), 1)
        return before.decode(errors="replace")

    def type(self, line):
        os.write(self.typed, line.encode() + b"\n")


class Walk:
    """Runs blocks, each on a machine that is named, all below one fresh directory."""

    def __init__(self, source, directory, environment):
        self.blocks = blocks(source)
        self.source, self.directory, self.environment = source, directory, environment
        self.log = directory / "log"
        self.machines, self.ran = {}, set()

    def machine(self, name, home=None):
        if name not in self.machines:
            self.machines[name] = Machine(home or self.directory / name, self.log, self.environment)
        return self.machines[name]

    def run(self, name, at="builder", code=0, **variables):
        block = self.blocks.get(name)
        if block is None:
            raise Failed(f"no page has a block {name}")
        with self.log.open("a") as log:
            log.write(f"--- {name} ({block.page}:{block.first}) at {at}\n")
        self.ran.add(name)
        self.machine(at).run(block, code, variables)

    def start(self, name, at="builder", **variables):
        self.ran.add(name)
        return self.machine(at).start(self.blocks[name], variables)

    def end(self):
        for machine in self.machines.values():
            machine.end()


def say(text):
    print(text, file=sys.stderr, flush=True)
