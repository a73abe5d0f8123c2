"""What docs/architecture.md says of dependencies, compared with the sources: a folder includes only folders whose
libraries it links, itself and two interfaces.

usage: includes.py SOURCE
"""

import pathlib
import re
import sys

INTERFACES = {"updater/source/source.h", "updater/slot/slot_disk.h"}
FOLDERS = ["updater/*", "bootctl", "images", "images/publish", "images/sbom"]


def libraries(root):
    """Of each folder its libraries and programs; of each of those what it links."""
    owners, links = {}, {}
    for folder in sorted({path for pattern in FOLDERS for path in root.glob(pattern) if path.is_dir()}):
        text = re.sub(r"#.*", "", (folder / "CMakeLists.txt").read_text())
        made = re.findall(r"(?:hostos_library|add_executable|add_library)\((\w[\w-]*)", text)
        owners[str(folder.relative_to(root))] = made
        for name, body in re.findall(r"hostos_library\((\w+)([^)]*)\)", text):
            links.setdefault(name, set()).update(body.partition("LINK")[2].split())
        for name, body in re.findall(r"target_link_libraries\((\w[\w-]*)([^)]*)\)", text):
            links.setdefault(name, set()).update(body.split())
    return owners, links


def closure(names, links):
    found, left = set(), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += links.get(name, ())
    return found


def main(root):
    owners, links = libraries(root)
    wrong = []
    for folder, made in owners.items():
        linked = closure(made, links)
        allowed = {other for other, names in owners.items() if linked & set(names)}
        for file in sorted((root / folder).glob("*.*")):
            if file.suffix not in (".h", ".cc"):
                continue
            for number, line in enumerate(file.read_text().splitlines(), 1):
                match = re.match(r'#include "((?:updater|bootctl|images|tests)(?:/[\w-]+)*)/([^/"]+)"', line)
                if match and match[1] not in allowed and f"{match[1]}/{match[2]}" not in INTERFACES:
                    wrong.append(f"{folder}/{file.name}:{number}: {folder} does not link {match[1]}")
    print("\n".join(wrong) or f"{len(owners)} folders include what they link")
    return 1 if wrong else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
