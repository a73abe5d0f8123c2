#!/usr/bin/python3
"""Walks through README.md and docs/ as they are written.

walk.py check SOURCE                         the marks are well-formed, and each block belongs to a walk
walk.py NAME SOURCE HOSTIMAGE CLOCK          one walk; CLOCK is clock.cc, to be preloaded
walk.py a-node-of-a-package-list SOURCE      the walk that ends in a virtual machine; it takes build/release
"""

import functools
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
SOURCE = pathlib.Path(sys.argv[2]).resolve()
sys.path += [str(SOURCE / "tests/docs"), str(SOURCE / "tests/images")]

import interop
import verbs
from pages import Failed, Walk, blocks, say

ENCRYPTED = {"HOSTIMAGE_PASSPHRASE": "correct horse"}
DAY = 86400
CHANNELS = ("stable", "longterm")
WAITS = 4  # signatures of people are missing
WALKS = {}


def walk(*names):
    """Declares a walk and the blocks that it runs: no more, and no fewer."""
    def declare(function):
        WALKS[function.__name__.replace("_", "-")] = (function, set(names))
        return function
    return declare


class Publisher(Walk):
    """A walk with a repository, a stick that goes round, and nodes that look at the repository."""

    def __init__(self, source, directory, hostimage):
        if hostimage:  # else the page says where it is
            os.symlink(hostimage, directory / "hostimage")
        super().__init__(source, directory, {
            "PATH": f"{directory}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
            "HOSTOS_CACHE": str(directory / "cache"), "REPO": str(directory / "builder/hostos"),
            "STICK": str(directory / "stick"), **{name: os.environ[name] for name in PASSED_ON if name in os.environ}})
        self.repo = directory / "builder/hostos"
        (directory / "stick").mkdir()
        self.nodes = directory / "nodes"  # their metadata: a client that was there all the time
        self.nodes.mkdir()

    def edit(self, file, before, after):
        text = file.read_text()
        if text.count(before) != 1:
            raise Failed(f"{file.name}: expected {before} once")
        file.write_text(text.replace(before, after))

    def look(self, kept, channel):
        with tempfile.TemporaryDirectory(dir=self.directory) as fresh:
            return interop.ask(str(self.repo), str(kept or fresh), f"hostos/x86-64/{channel}.json")

    def sees(self, **channels):
        """What nodes see, an old one and a new one: the version of each channel, None where there is none."""
        for channel in CHANNELS:
            expected = channels.get(channel)
            for kept in (self.nodes, None):
                text = self.look(kept, channel)
                found = text and json.loads(text)["version"]
                if found != expected:
                    raise Failed(f"nodes see {found} in {channel}, expected {expected}")

    def sees_nothing_yet(self):
        if list(self.repo.glob("metadata/*.json")):
            raise Failed("something is public before the first root has its signatures")

    def release(self, version):
        """Commits a small tree, which has what rootfs/build and `cmake --install` would have put there."""
        self.make_release(version)
        self.run("commit", OUT=f"out/{version}", VERSION=version)

    def make_release(self, version):
        machine = self.machine("builder").home
        out = machine / "out" / version
        shutil.rmtree(out, ignore_errors=True)
        tree = out / "tree"
        make_tree(tree, version)
        copy(machine / "keys/release.pub", tree / "usr/lib/hostos/keys.d/release.pub")
        copy(self.repo / "metadata/1.root.json", tree / "usr/lib/hostos/tuf/root.json")
        for initrd in ("initrd", "rescue-initrd"):
            (out / initrd).write_bytes(b"i" * 70000)
        (out / "inputs.json").write_text(json.dumps({
            "id": "debian", "version_id": "13", "source": "", "parameters": {}, "debs": [], "builders": [], "install": []}))

    def round(self, *names, **before):
        """The stick goes round, and nodes see what they saw `before` until it is back."""
        self.run("stick-out")
        for name in names:
            self.looks_and_signs(name)
            self.sees(**before)
        self.back()

    def looks_and_signs(self, name, code=WAITS, **variables):
        self.run("stick-look", at=name, code=WAITS, **variables)
        self.run("stick-sign", at=name, code=code, NAME=name, DIGEST=self.digest(), **variables)

    def back(self):
        self.run("stick-back", code=WAITS)
        self.run("stick-publish", DIGEST=self.digest())

    def digest(self):
        """What the last look ended with."""
        found = re.findall(r"^digest ([0-9a-f]{64})$", self.log.read_text(errors="replace"), re.M)
        return found[-1]


def copy(source, to):
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)
    to.chmod(0o644)


def make_tree(tree, version):
    """A root file system of a few files; ukify wants a PE program for a kernel."""
    copy(pathlib.Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi"), tree / "usr/lib/modules/6.12.0-small/vmlinuz")
    (tree / "usr/lib/os-release").write_text(
        f'NAME="HostOS"\nID=debian\nVERSION_ID="13"\nIMAGE_ID=hostos\nIMAGE_VERSION="{version}"\n')
    (tree / "usr/lib/sysimage/dpkg/info").mkdir(parents=True)
    (tree / "usr/lib/sysimage/dpkg/info/base-files.list").write_text("/.\n")
    (tree / "usr/lib/sysimage/dpkg/status").write_text(
        "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n")
    (tree / "usr/share").mkdir()
    (tree / "usr/share/large").write_bytes(random.Random(version).randbytes(1 << 20))
    for directory in ("boot", "etc", "proc", "var"):
        (tree / directory).mkdir()
    changelog = tree.parent / "changelogs/base-files"
    changelog.parent.mkdir()
    changelog.write_text("base-files (1) trixie; urgency=low\n\n  * CVE-2026-1234\n\n"
                         " -- Somebody <some@example.org>  Tue, 29 Sep 2026 22:10:28 +0200\n")


def serve(directory):
    """A web server on loopback; returns its address."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


ONE_PERSON = ("release-key", "first-root", "commit", "publish")


def one_person(w):
    w.run("release-key", **ENCRYPTED)
    w.run("first-root")
    w.sees()
    for version in ("1.3.0", "1.4.0"):
        before = {} if version == "1.3.0" else {"stable": "1.3.0"}
        w.release(version)
        w.sees(**before)
        w.run("publish", VERSION=version)
        w.sees(stable=version)


TEAM = ("release-key", "ceremony-key", "ceremony-root", "stick-out", "stick-look", "stick-sign", "stick-back",
        "stick-publish")


def ceremony(w):
    for name in ("alice", "bob", "carol"):
        w.run("ceremony-key", at=name, NAME=name, **ENCRYPTED)
    w.run("ceremony-root", code=WAITS)
    w.sees_nothing_yet()
    w.run("stick-out")
    for name in ("carol", "alice"):
        w.looks_and_signs(name)
        w.sees_nothing_yet()
    w.back()
    w.sees()
    w.run("release-key", **ENCRYPTED)  # of commits, where releases are made


TEAM_RELEASES = (*TEAM, "commit", "team-publish")


def team_releases(w):
    ceremony(w)
    w.release("1.3.0")
    w.run("team-publish", code=WAITS, VERSION="1.3.0")
    w.round("alice", "bob")
    w.sees(stable="1.3.0")
    w.release("1.4.0")
    w.run("team-publish", code=WAITS, VERSION="1.4.0")
    w.round("bob", "carol", stable="1.3.0")
    w.sees(stable="1.4.0")


@walk(*ONE_PERSON, "disk", "images", "images-check", "images-verify", "bundle", "mirror", "rescue-stick")
def one_person_publishes_and_a_site_has_a_bundle_a_mirror_and_a_stick(w):
    one_person(w)
    w.run("disk", VERSION="1.4.0")
    if not (w.machine("builder").home / "hostos.raw").exists():
        raise Failed("there is no disk")
    w.run("images", VERSION="1.4.0", **ENCRYPTED)
    w.run("images-check")
    w.run("images-verify", VERSION="1.4.0")
    w.run("bundle")
    if not (w.machine("builder").home / "1.4.0.bundle").exists():
        raise Failed("there is no bundle")
    device = w.directory / "device"
    with device.open("wb") as file:
        file.truncate(64 << 20)
    w.run("rescue-stick", DEVICE=str(device))
    w.machine("site")
    copy(w.repo / "metadata/1.root.json", w.directory / "site/1.root.json")
    copy(w.directory / "builder/keys/release.pub", w.directory / "site/keys/release.pub")
    w.run("mirror", at="site", FROM=serve(w.repo))
    publisher, w.repo = w.repo, w.directory / "site/mirror"
    w.sees(stable="1.4.0")
    w.repo = publisher


@walk(*TEAM)
def a_ceremony_of_three_people_with_threshold_two(w):
    ceremony(w)


@walk(*TEAM_RELEASES, "team-promote", "team-withdraw")
def three_people_publish_promote_and_withdraw(w):
    team_releases(w)
    w.run("team-promote", code=WAITS)
    w.round("alice", "carol", stable="1.4.0")
    w.sees(stable="1.4.0", longterm="1.3.0")
    w.run("team-withdraw", code=WAITS)
    w.round("alice", "bob", stable="1.4.0", longterm="1.3.0")
    w.sees(stable="1.3.0", longterm="1.3.0")


@walk(*TEAM_RELEASES, "team-rotate")
def a_key_of_three_is_replaced(w):
    team_releases(w)
    w.run("ceremony-key", at="dave", NAME="dave", **ENCRYPTED)
    w.run("team-rotate", code=WAITS)
    w.round("carol", "alice", stable="1.4.0")
    w.sees(stable="1.4.0")
    # From then on Dave signs, and Bob's key signs nothing.
    w.release("1.5.0")
    w.run("team-publish", code=WAITS, VERSION="1.5.0")
    w.run("stick-out")
    w.looks_and_signs("bob", code=2)
    w.round("dave", "alice", stable="1.4.0")
    w.sees(stable="1.5.0")


@walk(*TEAM_RELEASES, "daily")
def a_timer_renews_for_90_days_while_a_release_waits_for_a_signature(w):
    team_releases(w)
    w.release("1.5.0")
    w.run("team-publish", code=WAITS, VERSION="1.5.0")
    w.run("stick-out")
    w.looks_and_signs("alice")
    seen = w.look(w.nodes, "stable")
    for day in range(1, 91):
        os.environ["CLOCK_AHEAD"] = str(day * DAY)
        w.run("daily", CLOCK_AHEAD=day * DAY)
        if w.look(w.nodes, "stable") != seen:
            raise Failed(f"after {day} days nodes see another release")
    w.sees(stable="1.4.0")
    w.looks_and_signs("bob", CLOCK_AHEAD=90 * DAY)
    w.back()
    w.sees(stable="1.5.0")


@walk("first-root", "commit", "publish")
def every_verb_ends_as_the_table_says(w):
    builder = w.machine("builder").home
    hostimage = str(w.directory / "hostimage")
    (builder / "keys").mkdir()
    for secret, public in (("release.pem", "keys/release.pub"), ("stranger.pem", "stranger.pub")):
        subprocess.run([hostimage, "keygen", "--secret", secret, "--public", public], cwd=builder, check=True,
                       stdout=subprocess.DEVNULL)
    w.run("first-root")
    w.release("1.3.0")
    w.run("publish", VERSION="1.3.0")
    w.release("1.4.0")
    for version in ("1.4.0", "1.5.0"):
        w.make_release(version)

    def view(repo, ahead):
        os.environ["CLOCK_AHEAD"] = str(ahead)
        try:
            found = {}
            for channel in CHANNELS:
                with tempfile.TemporaryDirectory(dir=w.directory) as fresh:
                    if text := interop.ask(str(repo), fresh, f"hostos/x86-64/{channel}.json"):
                        found[channel] = json.loads(text)["version"]
            return found
        except interop.refusal():
            return None  # refused
        finally:
            del os.environ["CLOCK_AHEAD"]

    verbs.compare(SOURCE, hostimage, builder, view, w.directory)


@walk("node-build", "node-shell", "node-next", "try-key", "try-serve", "try-machine", "try-update", "try-ssh")
def a_node_of_a_package_list(w):
    # A checkout of its own: what the pages make there goes with it.
    checkout = w.directory / "checkout"
    checkout.mkdir()
    for path in SOURCE.iterdir():
        (checkout / path.name).symlink_to(path)
    w.machine("builder", checkout)
    w.run("node-build")
    w.run("node-shell")
    site = checkout / "site"
    # OpenSSH of the release, for whoever is outside of the build root.
    tree = site / "out/1.0.0/tree"
    for program in ("ssh", "ssh-keygen"):
        wrapper = w.directory / "outside" / program
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text(f'#!/bin/sh\nexport LD_LIBRARY_PATH={tree}/usr/lib/x86_64-linux-gnu\n'
                           f'exec {tree}/usr/bin/{program} "$@"\n')
        wrapper.chmod(0o755)
    w.environment["PATH"] = f"{w.directory}/outside:{w.environment['PATH']}"
    w.machine("outside", site)
    w.run("try-key", at="outside")
    web, ssh = free_port(), free_port()
    w.run("try-serve", PORT=web, PASSWORD="let me in")
    console = w.start("try-machine", SSH_PORT=ssh, DISK="out/hostos-1.0.0.raw")

    def log_in():
        console.expect("node-1 login: ")
        console.type("root")
        console.expect("Password: ")
        console.type("let me in")
        console.expect(PROMPT)

    log_in()
    w.run("try-ssh", at="outside", SSH_PORT=ssh)
    w.edit(site / "image.toml", "add = []", 'add = ["htop"]')
    w.run("node-next")
    for line in w.blocks["try-update"].lines:
        console.type(line)
        console.expect(line)
        if "--reboot" not in line:
            console.expect(PROMPT)
    w.ran.add("try-update")
    log_in()
    w.run("try-ssh", at="outside", SSH_PORT=ssh)
    console.type("hostctl history; echo ended with $?")
    history = console.expect("ended with 0")
    if "1.0.1" not in history or "committed" not in history:
        raise Failed(f"expected 1.0.1 to be committed, found: {history}")
    console.type("poweroff")
    console.expect("Power down")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


PROMPT = "~# "
IN_MACHINES = ("a-node-of-a-package-list",)
PASSED_ON = ("LD_PRELOAD", "CLOCK_AHEAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "HOSTOS_MIRROR", "CCACHE_DIR")


def check():
    marked = blocks(SOURCE)
    walked = set().union(*(names for _, names in WALKS.values()))
    for name in sorted(set(marked) - walked):
        raise Failed(f"{marked[name].page}:{marked[name].first - 1}: no walk runs the block {name}")
    for name in sorted(walked - set(marked)):
        raise Failed(f"no page has a block {name}")


def run(name, hostimage):
    function, names = WALKS[name]
    # In memory what is written is not waited for; a whole release is too large for it.
    with tempfile.TemporaryDirectory(dir=None if name in IN_MACHINES else "/dev/shm") as directory:
        w = Publisher(SOURCE, pathlib.Path(directory), hostimage)
        try:
            function(w)
            if w.ran != names:
                raise Failed(f"expected to run {sorted(names)}, ran {sorted(w.ran)}")
        except BaseException:
            if w.log.exists():
                say("".join(w.log.read_text(errors="replace").splitlines(keepends=True)[-80:]))
            raise
        finally:
            w.end()


try:
    if sys.argv[1] == "check":
        check()
    elif sys.argv[1] in IN_MACHINES:
        run(sys.argv[1], "")
    elif "LD_PRELOAD" not in os.environ:
        # The sanitizer's library wants to be the first, and does not have to be.
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        os.execve(sys.executable, [sys.executable, *sys.argv],
                  {**os.environ, "LD_PRELOAD": os.path.abspath(sys.argv[4]), "ASAN_OPTIONS": options})
    else:
        run(sys.argv[1], os.path.abspath(sys.argv[3]))
except Failed as failed:
    sys.exit(f"FAILED: {failed}")
