"""The table of docs/publishing.md with every verb's exit codes, and what nodes see after each: each row is tried.

What a row says is expected comes from the page; here is only how each "when" comes about.
"""

import json
import os
import re
import shutil
import subprocess

from pages import Failed

DAY = 86400
R = ["--repo", "hostos"]
PERSON, ONLINE, STRANGER = ["--key", "release.pem"], ["--key", "online.pem"], ["--key", "stranger.pem"]
ALL = [*PERSON, *ONLINE]
STABLE = ["--channel", "stable"]
REF = "hostos/x86-64/releases/1.3.0"
KEYS = ["--keys", "keys"]
AS_BEFORE, REFUSED = "as before", "nothing: they refuse it"
LONGER = "as before, for longer"


class Case:
    """A command line in a copy of a publisher's directory: stable has 1.3.0, and 1.4.0 is committed."""

    def __init__(self, *command, sees=None, before=(), ahead=0, prepare=None):
        self.command, self.sees, self.before, self.ahead, self.prepare = command, sees, before, ahead, prepare


def tree(version):
    return ["--tree", f"out/{version}/tree", "--initrd", f"out/{version}/initrd", "--version", version, *STABLE,
            *PERSON]


def root(repo, keys, *more):
    return ["root", "--repo", repo, "--root-key", "keys/release.pub", "--targets-key", "keys/release.pub",
            "--snapshot-key", "online.pub", "--timestamp-key", "online.pub", *keys, *more]


def change_an_object(home):
    """Of each release: which file comes first depends on the directory."""
    for large in (home / "hostos/objects").rglob("*.filez"):
        if large.stat().st_size >= 1 << 20:
            large.chmod(0o644)
            with large.open("r+b") as file:
                file.seek(1000)
                byte = file.read(1)
                file.seek(1000)
                file.write(bytes([byte[0] ^ 1]))


def rename_a_key(home):
    shutil.copyfile(home / "keys/release.pub", home / "release.qcow2")


def newest(home):
    return (home / "hostos/metadata/timestamp.json").read_bytes()


def image(home):
    (home / "image.toml").write_text('[release]\nversion = "1"\n[repo]\npath = "hostos"\n[trust]\nkeys = ["keys"]\n'
                                     'commit_keys = ["release.pem"]\n')


def other_key(home):
    (home / "other").mkdir()
    shutil.copy(home / "stranger.pub", home / "other")


def without_provenance(home):
    for file in (home / "hostos").rglob("*.intoto.json"):
        file.unlink()


def tracker(text):
    return lambda home: (home / "tracker.json").write_text(text)


WHOLE = '{"bash": {"CVE-2026-1": {"releases": {"trixie": {"status": "open"}}}}}'
TRACKER = ["--tracker", "tracker.json", "--suite", "trixie", "--output", "made"]
STAGED = ["publish", "1.4.0", *R]
DAYS = ["root", *R, "--days", "targets=90"]
LOOKED = ["--digest", "DIGEST"]  # what `staged` says
MIRROR = ["mirror", "--repo", "mirror", "--root", "hostos/metadata/1.root.json", *KEYS, *STABLE, "--from"]
NEW = {"stable": "1.4.0"}
CASES = {
    ("new", "a new folder"): Case("new", "site"),
    ("new", "something is there already"): Case("new", "keys"),
    ("build", "a key that image.toml does not have"): Case(
        "build", "image.toml", prepare=lambda home: (home / "image.toml").write_text("[relaese]\n")),
    ("build", "no such file"): Case("build", "image.toml"),
    ("customize", "no such release"): Case("customize", "image.toml", "--from", "9.9", *R, *KEYS, prepare=image),
    ("customize", "a release that other keys signed"): Case(
        "customize", "image.toml", "--from", "1.3.0", *R, "--keys", "other",
        prepare=lambda home: (image(home), other_key(home))),
    ("keygen", "new files"): Case("keygen", "--secret", "new.pem", "--public", "new.pub"),
    ("keygen", "the secret is there already"): Case("keygen", "--secret", "release.pem", "--public", "new.pub"),
    ("public", "a secret key"): Case("public", *PERSON),
    ("public", "no such file"): Case("public", "--key", "missing.pem"),
    ("root", "the first one, all keys"): Case(*root("other", ALL)),
    ("root", "the next one, all keys"): Case(*root("hostos", ALL, "--days", "targets=90"), sees={"stable": "1.3.0"}),
    ("root", "signatures are missing"): Case(*root("hostos", [], "--days", "targets=90")),
    ("root", "fewer keys than signatures"): Case(*root("hostos", ALL, "--threshold", "root=2")),
    ("root", "a key of no role"): Case(*root("hostos", STRANGER, "--days", "targets=90")),
    ("rescue", "a tree"): Case("rescue", "--tree", "out/1.4.0/tree", "--initrd", "out/1.4.0/rescue-initrd"),
    ("sbom", "a tree"): Case("sbom", "--tree", "out/1.4.0/tree", "--initrd", "out/1.4.0/initrd"),
    ("commit", "a tree"): Case("commit", *tree("1.5.0"), *R),
    ("commit", "the version is there already"): Case("commit", *tree("1.4.0"), *R),
    ("verify", "all as signed"): Case("verify", REF, *R, *KEYS),
    ("verify", "a changed byte"): Case("verify", REF, *R, *KEYS, prepare=change_an_object),
    ("verify", "no such release"): Case("verify", "hostos/x86-64/releases/9.9", *R, *KEYS),
    ("provenance", "as its keys signed it"): Case("provenance", REF, *R, *KEYS),
    ("provenance", "signed by others"): Case("provenance", REF, *R, "--keys", "other", prepare=other_key),
    ("provenance", "committed without"): Case(
        "provenance", REF, *R, *KEYS, prepare=without_provenance),
    ("reproduce", "a provenance that does not say enough"): Case(
        "reproduce", REF, *R, *KEYS, "--install", "out", "--output", "again"),
    ("publish", "all keys"): Case("publish", "1.4.0", *R, *ALL, sees=NEW),
    ("publish", "signatures are missing"): Case(*STAGED, *ONLINE),
    ("publish", "a key of no role"): Case(*STAGED, *STRANGER),
    ("publish", "the version was not committed"): Case("publish", "9.9", *R, *ALL),
    ("publish", "no newer than the channel's newest"): Case("publish", "1.3.0", *R, *ALL),
    ("promote", "all keys"): Case("promote", "1.3.0", "--channel", "longterm", "--commit-key", "release.pem", *R, *ALL,
                                  sees={"stable": "1.3.0", "longterm": "1.3.0"}),
    ("promote", "signatures are missing"): Case("promote", "1.3.0", "--channel", "longterm", "--commit-key",
                                                "release.pem", *R),
    ("withdraw", "all keys"): Case("withdraw", "1.3.0", *STABLE, *R, *ALL, sees={}),
    ("withdraw", "signatures are missing"): Case("withdraw", "1.3.0", *STABLE, *R),
    ("withdraw", "not in the channel"): Case("withdraw", "1.4.0", *STABLE, *R, *ALL),
    ("renew", "the role's keys"): Case("renew", "timestamp", *R, *ONLINE),
    ("renew", "signatures are missing"): Case("renew", "targets", *R, *ONLINE),
    ("renew", "a key of no role"): Case("renew", "timestamp", *R, *STRANGER),
    ("renew", "another role is due, and its keys are not there"): Case(
        "renew", "timestamp", *R, *ONLINE, ahead=150 * DAY, sees={"stable": "1.3.0"}),
    ("check", "nothing is due"): Case("check", *R),
    ("check", "something is due"): Case("check", *R, "--within", "8"),
    ("check", "something has expired"): Case("check", *R, ahead=8 * DAY),
    ("sign", "the last signature"): Case("sign", *LOOKED, *R, *ALL, before=STAGED, sees=NEW),
    ("sign", "signatures are missing"): Case("sign", *LOOKED, *R, *PERSON, before=STAGED),
    ("sign", "a key of no role"): Case("sign", *LOOKED, *R, *STRANGER, before=STAGED),
    ("sign", "neither a digest nor a terminal"): Case("sign", *R, *ALL, before=STAGED),
    ("sign", "another digest than that of what is staged"): Case("sign", "--digest", 64 * "0", *R, *ALL, before=STAGED),
    ("publish", "with a key, over what others staged"): Case("publish", "1.4.0", *R, *ALL, before=DAYS),
    ("promote", "with a key, over what others staged"): Case(
        "promote", "1.3.0", "--channel", "longterm", "--commit-key", "release.pem", *R, *ALL, before=STAGED),
    ("withdraw", "with a key, over what others staged"): Case("withdraw", "1.3.0", *STABLE, *R, *ALL, before=STAGED),
    ("root", "with a key, over what others staged"): Case(*root("hostos", ALL), before=STAGED),
    ("sign", "nothing is staged"): Case("sign", *R, *PERSON),
    ("staged", "something is"): Case("staged", *R, before=STAGED),
    ("staged", "nothing is"): Case("staged", *R),
    ("abandon", "something is staged"): Case("abandon", *R, before=STAGED),
    ("abandon", "nothing is"): Case("abandon", *R),
    ("releases", "a channel"): Case("releases", *STABLE, *R),
    ("releases", "no such channel"): Case("releases", "--channel", "stabel", *R),
    ("pack", "a committed release, and one before it"): Case("pack", "1.4.0", *STABLE, *R),
    ("pack", "none before it"): Case("pack", "1.3.0", *STABLE, *R),
    ("bundle", "a published release"): Case("bundle", "1.3.0", *STABLE, "--output", "bundle", *R),
    ("bundle", "not in the channel"): Case("bundle", "1.4.0", *STABLE, "--output", "bundle", *R),
    ("mirror", "a repository"): Case(*MIRROR, "hostos"),
    ("mirror", "a changed byte in it"): Case(*MIRROR, "hostos", prepare=change_an_object),
    ("mirror", "the server is not reached"): Case(*MIRROR, "http://127.0.0.1:1/hostos"),
    ("diff", "releases that are there"): Case("diff", "1.3.0", "1.4.0", *R),
    ("diff", "no such release"): Case("diff", "1.3.0", "9.9", *R),
    ("vex", "releases that are there"): Case("vex", "1.4.0", *TRACKER, *R, prepare=tracker(WHOLE)),
    ("vex", "no such release"): Case("vex", "9.9", *TRACKER, *R, prepare=tracker(WHOLE)),
    ("vex", "a tracker file that is cut off"): Case("vex", "1.4.0", *TRACKER, *R, prepare=tracker(WHOLE[:-2])),
    ("notes", "releases that are there"): Case("notes", "1.4.0", "--since", "1.3.0", *TRACKER, *R,
                                               prepare=tracker(WHOLE)),
    ("notes", "no such release"): Case("notes", "1.4.0", "--since", "9.9", "--output", "out.html", *R),
    ("notes", "a tracker file that is cut off"): Case("notes", "1.4.0", *TRACKER, *R, prepare=tracker(WHOLE[:-2])),
    ("disk", "a release"): Case("disk", REF, *R, *KEYS, "--output", "hostos.raw"),
    ("disk", "partitions too small for it"): Case("disk", REF, *R, *KEYS, "--output", "hostos.raw",
                                                  "--slot-size", "1M"),
    ("verify", "an image that is not what its name says"): Case("verify", "--image", "release.qcow2", *KEYS,
                                                                prepare=rename_a_key),
    ("images", "a release"): Case("images", "1.3.0", *R, *KEYS, *PERSON, "--output", "images", "--format", "oci"),
    ("images", "the directory is there already"): Case("images", "1.3.0", *R, *KEYS, *PERSON, "--output", "keys"),
}
# In each verb that reads a repository; `root`, `commit` and `mirror` make one.
MISTYPED = {
    "verify": (REF, *KEYS), "publish": ("1.4.0", *ALL), "withdraw": ("1.3.0", *STABLE, *ALL),
    "promote": ("1.3.0", *STABLE, "--commit-key", "release.pem", *ALL), "renew": ("timestamp", *ONLINE), "check": (),
    "sign": PERSON, "staged": (), "abandon": (), "releases": STABLE, "pack": ("1.4.0", *STABLE), "bundle": ("1.3.0", *STABLE, "--output", "bundle"),
    "disk": (REF, *KEYS, "--output", "hostos.raw"), "provenance": (REF, *KEYS),
    "reproduce": (REF, *KEYS, "--install", "out", "--output", "again"),
    "images": ("1.3.0", *KEYS, *PERSON, "--output", "images"),
    "diff": ("1.3.0", "1.4.0"), "vex": ("1.4.0", *TRACKER),
    "notes": ("1.4.0", "--output", "made"),
}


def rows(source):
    """(verb, when) to exit code and what nodes see, and the line of the page."""
    page = source / "docs/publishing.md"
    lines = page.read_text().splitlines()
    begin = lines.index("<!-- table: verbs -->") + 3
    found = {}
    for number, line in enumerate(lines[begin:], begin + 1):
        if not line.startswith("|"):
            break
        verbs, when, code, sees = (cell.strip() for cell in line.strip("|").split("|"))
        for verb in re.findall(r"`([a-z]+)`", verbs):
            if (verb, when) in found:
                raise Failed(f"docs/publishing.md:{number}: a second row of {verb}, {when}")
            found[verb, when] = (int(code), sees, f"docs/publishing.md:{number}")
    return found


def compare(source, hostimage, publisher, view, scratch):
    """Every row, each in a copy of the publisher's directory; `view` says what nodes see of a repository."""
    known = dict(CASES)
    for verb, options in MISTYPED.items():
        known[verb, "no repository there"] = Case(verb, *options, "--repo", "hotsos")
    listed = subprocess.run([hostimage, "--help"], capture_output=True, text=True, check=True).stdout
    verbs = set(re.findall(r"^  hostimage ([a-z]+) ", listed, re.M))
    for verb in verbs:
        known[verb, "an option that it does not have"] = Case(verb, "--colour")
    table = rows(source)
    for row in sorted(set(table) - set(known)):
        raise Failed(f"{table[row][2]}: nothing tries this row")
    for row in sorted(set(known) - set(table)):
        raise Failed(f"docs/publishing.md: the table lacks a row: {' | '.join(row)}")
    if missing := verbs - {verb for verb, _ in CASES}:
        raise Failed(f"nothing tries {sorted(missing)}")

    wrong = []
    for (verb, when), (code, sees, place) in table.items():
        case = known[verb, when]
        home = scratch / "case"
        shutil.copytree(publisher, home, symlinks=True)
        if case.prepare:
            case.prepare(home)
        if case.before:
            subprocess.run([hostimage, *case.before], cwd=home, capture_output=True, check=False)
        before = view(home / "hostos", 0)
        command = case.command
        if LOOKED[1] in command:
            said = subprocess.run([hostimage, "staged", "--json", *R], cwd=home, capture_output=True, check=False).stdout
            command = [json.loads(said)["digest"] if word == LOOKED[1] else word for word in command]
        ran = subprocess.run([hostimage, *command], cwd=home, capture_output=True, text=True, check=False,
                             stdin=subprocess.DEVNULL, env={**os.environ, "CLOCK_AHEAD": str(case.ahead)})
        after = view(home / "hostos", case.ahead)
        expected = {AS_BEFORE: before, LONGER: before, REFUSED: None}.get(sees, case.sees)
        if ran.returncode != code or after != expected:
            wrong.append(f"{place}: {verb}, {when}: expected {code} and {expected}, found {ran.returncode} and "
                         f"{after}\n{ran.stderr[-400:]}")
        if sees == LONGER and newest(home) == newest(publisher):
            wrong.append(f"{place}: the timestamp is the same")
        if sees == AS_BEFORE and case.sees not in (None, before):
            wrong.append(f"{place}: nodes see a change here, which the row does not say")
        if (home / "hotsos").exists():
            wrong.append(f"{place}: a repository was made")
        shutil.rmtree(home)
    if wrong:
        raise Failed("\n".join(wrong))
