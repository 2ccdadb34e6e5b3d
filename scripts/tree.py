# SPDX-License-Identifier: Apache-2.0
"""The tree as the checks see it: its files, and C++ text with comments or strings taken out.

Each check is a program `scripts/check-NAME [ROOT]` that prints one line a finding and ends with 1
when there was one. Its self-test in scripts/selftest.py plants a violation in a small tree.
"""
import pathlib
import re
import sys

FOLDERS = ("include", "src", "tools", "apps", "examples", "bench", "fuzz", "tests")
SKIPPED = ("bench/peers/", "tests/install/build")


def root() -> pathlib.Path:
    given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    return pathlib.Path(given[0] if given else pathlib.Path(__file__).parent.parent).resolve()


def cpp_files(top: pathlib.Path, folders=FOLDERS):
    """(path relative to top, text) of every C++ file, in a fixed order."""
    for folder in folders:
        for path in sorted((top / folder).rglob("*")):
            name = path.relative_to(top).as_posix()
            if path.suffix in (".cpp", ".hpp") and not name.startswith(SKIPPED):
                yield name, path.read_text(encoding="utf-8")


_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.S)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str) -> str:
    """The same text, same line numbers, comments and strings blanked."""
    return _TOKEN.sub(lambda match: _blank(match.group()), text)


def only_comments(text: str) -> str:
    """The same text, same line numbers, everything but comments blanked."""
    kept, end = [], 0
    for match in _TOKEN.finditer(text):
        kept.append(_blank(text[end:match.start()]))
        token = match.group()
        kept.append(token if token.startswith(("//", "/*")) else _blank(token))
        end = match.end()
    return "".join(kept) + _blank(text[end:])


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def finish(findings, what: str) -> None:
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} finding(s): {what}")
        sys.exit(1)
