"""TRY returns from the middle of an expression. In a braced list of members GCC then leaves those before it
undestroyed: a leak, of memory, descriptors or keys. So TRY may only be the first of such a list.

usage: try_alone.py SOURCE
"""

import pathlib
import re
import sys

BLOCK = re.compile(r"([);{}]|\b(else|do|try|const|noexcept|override)|->\s*[\w:<>]+|"
                   r"\b(namespace|struct|class|enum)\b[^;{}()]*)$")


def quiet(text):
    """The text with comments and strings blanked out."""
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text)


def places(text):
    """Where TRY comes behind a comma of an enclosing list in braces."""
    open_lists = []  # of each bracket: is it a list, and has it a comma?
    for match in re.finditer(r"[({\[]|[)}\]]|,|\bTRY(?:_CONTEXT)?\(", text):
        token = match[0]
        if token == ",":
            if open_lists:
                open_lists[-1][1] = True
        elif token in ")}]":
            if open_lists:
                open_lists.pop()
        elif token in "({[":
            before = text[: match.start()].rstrip()
            kind = "(" if token != "{" else "block" if BLOCK.search(before[-200:]) or not before else "list"
            open_lists.append([kind, False])
        else:
            for kind, comma in reversed(open_lists):
                if kind == "block":
                    break
                if kind == "list" and comma:
                    yield text.count("\n", 0, match.start()) + 1
                    break
            open_lists.append(["(", False])


def main(root):
    wrong = []
    for folder in ("updater", "bootctl", "images"):
        for file in sorted((root / folder).rglob("*.*")):
            if file.suffix in (".h", ".cc"):
                wrong += [f"{file.relative_to(root)}:{line}: TRY behind other members of a list"
                          for line in places(quiet(file.read_text()))]
    print("\n".join(wrong) or "TRY is nowhere behind other members of a list")
    return 1 if wrong else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
