"""The rules of trivy, grype and osv-scalibr, applied to the real releases: each finds Debian 13 and
every package; and a package that 1.1.0 mends is found vulnerable in 1.0.0, and not in 1.1.0.

usage: scanners_test.py RELEASES (as tests/vm/releases makes them), in a mount namespace of its own
"""
import json
import os
import subprocess
import sys
import tempfile

RULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.py")
# In dpkg's status Debian's kernel is of the source linux-signed-amd64, which no advisory names. The
# SBOM says `linux` (docs/sbom.md).
KERNEL = "linux"


def run(*words):
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout


def rules(kind, path):
    return json.loads(run("python3", RULES, kind, path))


def expect(what, expected, found):
    if expected != found:
        sys.exit(f"{what}: expected {expected}, found {found}")


def installed(root):
    lines = run("dpkg-query", f"--admindir={root}/usr/lib/sysimage/dpkg", "--show", "--showformat", r"${Package}\t${Version}\n")
    return sorted(line.split("\t") for line in lines.splitlines())


def older(version, other):
    return subprocess.run(["dpkg", "--compare-versions", version, "lt", other], check=False).returncode == 0


def vulnerable(advisories, source, fixed):
    """Whether a scanner with this advisory reports it."""
    return any(name == source and older(version, fixed) for name, version in advisories)


def main():
    releases = sys.argv[1]
    seen, of = {}, []
    with tempfile.TemporaryDirectory() as root:
        for version in ("1.0.0", "1.1.0"):
            run("mount", "-t", "erofs", "-o", "loop,ro", f"{releases}/{version}.erofs", root)
            packages = installed(root)
            places = {"root": rules("root", root), "SBOM": rules("sbom", f"{root}/usr/share/sbom/hostos.cdx.json")}
            run("umount", root)
            of.append(packages)
            for place, scanners in places.items():
                for scanner, result in scanners.items():
                    what = f"{scanner}, {place} of {version}"
                    expect(f"{what}: distribution", "debian 13", result["distribution"])
                    missing = [p for p in packages if p not in result["packages"]]
                    expect(f"{what}: packages not found", [], missing)
                    if place == "root":
                        expect(f"{what}: packages", len(packages), len(result["packages"]))
                    seen[version, place, scanner] = result["advisories"]
    # Debian's advisories are about sources.
    before = dict(seen["1.0.0", "SBOM", "trivy"])
    mended = {source: fixed for source, fixed in seen["1.1.0", "SBOM", "trivy"]
              if source in before and older(before[source], fixed) and not source.startswith(KERNEL + "-")}
    # A suite that was released just now has no updates.
    expect("something that 1.1.0 mends", of[0] != of[1], bool(mended))
    for (version, place, scanner), advisories in seen.items():
        for source, fixed in mended.items():
            if place != "root" or source != KERNEL:
                expect(f"{scanner}, {place} of {version}: {source} before {fixed} is reported", version == "1.0.0",
                       vulnerable(advisories, source, fixed))
    print(f"{len(of[1])} packages; of the sources 1.1.0 mends {len(mended)}: {', '.join(sorted(mended))}")


if __name__ == "__main__":
    main()
