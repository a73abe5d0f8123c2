#!/usr/bin/python3
"""What others make of a repository of ours.

interop.py tuf REPO TARGET: python-tuf's client, from the first root to the target's bytes on stdout.
interop.py ed25519 COMMIT PUBLIC: python-cryptography verifies the signature on standard input (raw
bytes) over a commit object's bytes with a *.pub file's first key.
"""

import base64
import pathlib
import sys
import tempfile
import urllib.parse


def ask(repo, directory, target):
    """The target's text, or None, as a client says that keeps its metadata in `directory`."""
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient import FetcherInterface, Updater

    class Files(FetcherInterface):
        def _fetch(self, url):
            path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(url).path))
            if not path.exists():
                raise DownloadHTTPError(f"{path}: no such file", 404)
            return iter([path.read_bytes()])

    trusted = pathlib.Path(directory) / "root.json"
    if not trusted.exists():
        trusted.write_bytes(pathlib.Path(repo, "metadata/1.root.json").read_bytes())
    updater = Updater(directory, f"file://{repo}/metadata/", directory,
                      f"file://{repo}/targets/", Files())
    updater.refresh()
    info = updater.get_targetinfo(target)
    return info and pathlib.Path(updater.download_target(info)).read_text()


def refusal():
    """What a client raises when the repository does not count."""
    from tuf.api.exceptions import RepositoryError

    return RepositoryError


def tuf(repo, target):
    with tempfile.TemporaryDirectory() as directory:
        found = ask(repo, directory, target)
        if found is None:
            sys.exit(f"{target}: no such target")
        sys.stdout.write(found)


def ed25519(commit, public):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    lines = pathlib.Path(public).read_text().splitlines()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(lines[0]))
    key.verify(sys.stdin.buffer.read(), pathlib.Path(commit).read_bytes())


if __name__ == "__main__":
    {"tuf": tuf, "ed25519": ed25519}[sys.argv[1]](*sys.argv[2:])
