"""What trivy, grype (syft) and osv-scalibr find in a root, an OCI image or an SBOM, by the rules in
their sources (docs/sbom.md names the files): the distribution, and each package with the name and
version that its advisories are looked up by.

usage: rules.py root DIR | oci FILE.tar | sbom FILE.cdx.json
Prints one JSON object: scanner to {"distribution", "packages": [[name, version], ...],
"advisories": [[source, version], ...]}.
"""
import json
import os
import posixpath
import re
import sys
import tarfile
import urllib.parse


class Root:
    """A mounted root. Paths are relative to it."""

    def __init__(self, directory):
        self.directory = directory

    def link(self, path):
        try:
            return os.readlink(os.path.join(self.directory, path))
        except OSError:
            return None

    def is_file(self, path):
        full = os.path.join(self.directory, path)
        return os.path.isfile(full) and not os.path.islink(full)

    def read(self, path):
        with open(os.path.join(self.directory, path), encoding="utf-8") as file:
            return file.read()

    def files(self):
        for at, directories, files in os.walk(self.directory):
            # Content objects: hard links to files of the root (docs/sbom.md says to leave them out).
            directories[:] = [d for d in directories if os.path.relpath(os.path.join(at, d), self.directory) != "ostree"]
            for name in files:
                yield os.path.relpath(os.path.join(at, name), self.directory)


class OciImage:
    """The one layer of an OCI archive. Only regular entries are files: trivy skips hard links, and
    osv-scalibr takes them for links relative to their directory."""

    def __init__(self, path):
        self.archive = tarfile.open(path)
        index = json.load(self.archive.extractfile("index.json"))
        manifest = self._blob(index["manifests"][0]["digest"])
        layers = json.load(manifest)["layers"]
        assert len(layers) == 1, layers
        self.layer = tarfile.open(fileobj=self._blob(layers[0]["digest"]))
        self.members = {posixpath.normpath(m.name).lstrip("/"): m for m in self.layer}

    def _blob(self, digest):
        return self.archive.extractfile("blobs/" + digest.replace(":", "/"))

    def link(self, path):
        member = self.members.get(path)
        return member.linkname if member and member.issym() else None

    def is_file(self, path):
        member = self.members.get(path)
        return bool(member and member.isreg())

    def read(self, path):
        return self.layer.extractfile(self.members[path]).read().decode()

    def files(self):
        return self.members


def without_links(root, path):
    """A walker that follows no links gets there only through directories."""
    parts = path.split("/")
    return root.is_file(path) and not any(root.link("/".join(parts[:n])) for n in range(1, len(parts)))


def followed(root, path):
    target = root.link(path)
    if target is None:
        return path if root.is_file(path) else None
    assert not target.startswith("/"), f"{path} -> {target}: that is a file of the machine that scans"
    return followed(root, posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))


def paragraphs(text):
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", paragraph, re.M))
        if fields:
            yield fields


def os_release(root):
    for path in ("etc/os-release", "usr/lib/os-release"):
        found = followed(root, path)
        if found:
            return {k: v.strip('"') for k, v in re.findall(r"^(\w+)=(.*)$", root.read(found), re.M)}
    return {}


def source_of(fields):
    source = re.fullmatch(r"(\S+)(?: \((.+)\))?", fields.get("Source", fields["Package"]))
    return [source[1], source[2] or fields["Version"]]


def found(distribution, packages, advisories):
    return {"distribution": distribution, "packages": sorted(packages), "advisories": sorted(map(list, set(map(tuple, advisories))))}


def trivy(root):
    version, status = "etc/debian_version", "var/lib/dpkg/status"
    if not without_links(root, version) or not without_links(root, status):
        return found(None, [], [])
    packages = [f for f in paragraphs(root.read(status)) if not re.search("deinstall|purge", f.get("Status", ""))]
    return found("debian " + root.read(version).split(".")[0].strip(), [[f["Package"], f["Version"]] for f in packages],
                 [source_of(f) for f in packages])


def grype(root):
    release = os_release(root)
    version = release.get("VERSION_ID", "")
    debian = followed(root, "etc/debian_version")
    if release.get("ID") == "debian" and debian and re.fullmatch(r"\d+(\.\d+)?", root.read(debian).strip()):
        version = root.read(debian).strip()
    packages = []
    for path in root.files():
        if path.endswith("lib/dpkg/status") and root.is_file(path):
            packages += [f for f in paragraphs(root.read(path)) if "deinstall" not in f.get("Status", "")]
    names = [[f["Package"], f["Version"]] for f in packages]
    return found(f"{release.get('ID')} {version.split('.')[0]}", names, names + [source_of(f) for f in packages])


def scalibr(root):
    release, status = os_release(root), "var/lib/dpkg/status"
    packages = []
    if without_links(root, status):
        packages = [f for f in paragraphs(root.read(status)) if f.get("Status", "a b installed").split()[2] == "installed"]
    ecosystem = f"{release.get('ID', '').title()}:{release.get('VERSION_ID')}"
    return found("debian 13" if ecosystem == "Debian:13" else ecosystem, [[f["Package"], f["Version"]] for f in packages],
                 [[source_of(f)[0], f["Version"]] for f in packages])


def purl_of(component):
    purl = component.get("purl", "")
    if not purl.startswith("pkg:deb/debian/"):
        return None
    name, _, query = purl.removeprefix("pkg:deb/debian/").partition("?")
    name, _, version = name.partition("@")
    return {"name": urllib.parse.unquote(name), "version": urllib.parse.unquote(version), **dict(urllib.parse.parse_qsl(query))}


KNOWN_TO_TRIVY_AND_GRYPE = ("application", "framework", "library", "machine-learning-model", "firmware", "operating-system", "container")


def sbom(document):
    components = document["components"]
    systems = [c for c in components + [document["metadata"]["component"]] if c["type"] == "operating-system"]
    assert len(systems) == 1, "trivy takes one of several at random"
    distribution = f"{systems[0]['name']} {systems[0]['version']}"
    packages = [(c, purl_of(c)) for c in components if purl_of(c)]
    shown = [(c, p) for c, p in packages if c["type"] in KNOWN_TO_TRIVY_AND_GRYPE]
    names = [[p["name"], p["version"]] for _, p in shown]
    of_trivy, of_grype = [], []
    for component, purl in shown:
        properties = {p["name"].removeprefix("aquasecurity:trivy:"): p["value"] for p in component.get("properties", [])}
        if "SrcName" in properties:
            version = properties["SrcVersion"]
            if properties.get("SrcEpoch", "0") != "0":
                version = f"{properties['SrcEpoch']}:{version}"
            if properties.get("SrcRelease"):
                version += "-" + properties["SrcRelease"]
            of_trivy.append([properties["SrcName"], version])
        upstream, _, version = purl.get("upstream", purl["name"]).partition("@")
        of_grype += [[purl["name"], purl["version"]], [upstream, version or purl["version"]]]
    distros = {p.get("distro", "").rpartition("-")[2] for _, p in packages}
    osv = "debian " + distros.pop() if len(distros) == 1 else None
    every = [[p["name"], p["version"]] for _, p in packages]
    return {"trivy": found(distribution, names, of_trivy), "grype": found(distribution, names, of_grype),
            "osv-scalibr": found(osv, every, every)}


def main():
    kind, path = sys.argv[1:]
    if kind == "sbom":
        with open(path, encoding="utf-8") as file:
            result = sbom(json.load(file))
    else:
        root = Root(path) if kind == "root" else OciImage(path)
        result = {"trivy": trivy(root), "grype": grype(root), "osv-scalibr": scalibr(root)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
