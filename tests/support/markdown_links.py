"""The links of Markdown files that lead to other files. `markdown_links.py FOLDER` prints those that lead nowhere."""

import pathlib
import re
import sys


def relative_links(file):
    """What the links lead to, without the part after #."""
    targets = re.findall(r"\]\(([^)\s]+)\)", file.read_text(encoding="utf-8"))
    return [target.partition("#")[0] for target in targets
            if not re.match(r"[a-z]+:", target) and not target.startswith("#")]


def check(folder):
    """(how many links there are in all Markdown files below the folder, what is wrong with some)."""
    links = [(file, target) for file in sorted(folder.rglob("*.md")) for target in relative_links(file)]
    wrong = [f"{file}: {target}" for file, target in links if not (file.parent / target).exists()]
    # A link must not lead out of the folder, to what is there on this machine only.
    wrong += [f"{file}: {target} is outside" for file, target in links
              if folder.resolve() not in (file.parent / target).resolve().parents]
    return len(links), wrong


if __name__ == "__main__":
    COUNT, WRONG = check(pathlib.Path(sys.argv[1]))
    print("\n".join([*WRONG, f"{COUNT} links, {len(WRONG)} wrong"]))
    sys.exit(1 if WRONG or COUNT == 0 else 0)
