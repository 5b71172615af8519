"""Your own copy of lessons and assignments, in work/: what you change is never overwritten, nor is what is stored.

`bring_up_to_date` is what `make lab` does first; `python -m tools.working_copy 02 assignment4` is `make fresh`.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tools.normal_form import ROOT

WORK = ROOT / "work"
GIVEN = ".given.json"
NOT_OURS = shutil.ignore_patterns(".*", "__pycache__")


class UnknownName(ValueError):
    """A name that no lesson and no assignment has."""


def sources(root: Path = ROOT) -> list[Path]:
    """What is copied, in reading order: each lesson, a file; and each assignment, a folder."""
    assignments = [path for path in root.glob("assignments/*") if path.is_dir() and not path.name.startswith(".")]
    return [*sorted(root.glob("notebooks/[0-9][0-9]_*.ipynb")), *sorted(assignments)]


def bring_up_to_date(root: Path = ROOT, work: Path = WORK) -> list[str]:
    """Copy what is missing and what is newer and untouched; a sentence for each copy that needs to be told of.

    A copy in which somebody has worked stays as it is, and a newer version is put beside it.
    """
    work.mkdir(exist_ok=True)
    given = _given(work)
    sentences = [sentence for source in sources(root) for sentence in _update(source, work, given)]
    _write(json.dumps(given, indent=1, sort_keys=True), work / GIVEN)
    return sentences


def _update(source: Path, work: Path, given: dict[str, str]) -> Iterator[str]:
    copy, newest = work / source.name, digest(source, source)
    if not copy.exists():
        _copy(source, copy)
    elif digest(copy, source) not in (newest, given.get(source.name)):
        if given.get(source.name) != newest:
            beside = _free_name(copy, "new", given, source)
            _copy(source, beside)
            given[beside.name] = newest
            yield f"{source.stem}: there is a newer version; you work in yours, so it lies beside it as {beside.name}."
    elif digest(copy, source) != newest:
        _copy(source, copy)
        yield f"{source.stem}: replaced by a newer version (you had not changed yours)."
    given[source.name] = newest


def start_afresh(names: Iterable[str], root: Path = ROOT, work: Path = WORK) -> list[str]:
    """Set one's own copies aside under another name and copy anew; a sentence for each."""
    given, sentences = _given(work), []
    for source in [_named(name, sources(root)) for name in names]:
        copy = work / source.name
        aside = _free_name(copy, "mine", {}, source)
        yours = f"yours is now {aside.name}, and " if copy.exists() else ""
        if copy.exists():
            copy.rename(aside)
        sentences.append(f"{source.stem}: {yours}{copy.name} is as it came.")
        given.pop(source.name, None)
    work.mkdir(exist_ok=True)
    _write(json.dumps(given, indent=1, sort_keys=True), work / GIVEN)
    return sentences + bring_up_to_date(root, work)


def digest(path: Path, source: Path) -> str:
    """A checksum of a file, or of those files of a folder that its source has; of a notebook only the cells count.

    Opening a notebook in JupyterLab and saving it writes the version of Python into it, which is no work of anybody's.
    """
    files = [path / file.name for file in _files(source)] if source.is_dir() else [path]
    parts = [_content(file) for file in files]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _content(path: Path) -> bytes:
    content = path.read_bytes() if path.exists() else b""
    if path.suffix != ".ipynb":
        return content
    try:
        return json.dumps(json.loads(content)["cells"], sort_keys=True).encode()
    except (ValueError, KeyError, TypeError):
        return content


def _copy(source: Path, target: Path) -> None:
    """Copy in one step; of a folder that is there already, only the files that came with the course."""
    if source.is_dir() and not target.exists():
        shutil.rmtree(_draft(target), ignore_errors=True)
        shutil.copytree(source, _draft(target), ignore=NOT_OURS)
        _draft(target).rename(target)
        return
    pairs = [(file, target / file.name) for file in _files(source)] if source.is_dir() else [(source, target)]
    for file, place in pairs:
        shutil.copyfile(file, _draft(place))
        _draft(place).replace(place)


def _free_name(copy: Path, word: str, given: dict[str, str], source: Path) -> Path:
    """`02_kl (new).ipynb` beside `02_kl.ipynb`, or with a number where somebody has worked in that one, too."""
    number = 1
    while True:
        name = f"{copy.stem} ({word}{f' {number}' if number > 1 else ''}){copy.suffix}"
        path, number = copy.with_name(name), number + 1
        if not path.exists() or given.get(name) == digest(path, source):
            return path


def _named(name: str, known: Sequence[Path]) -> Path:
    for source in known:
        if name in (source.name, source.stem) or name.zfill(2) == source.stem[:2]:
            return source
    raise UnknownName(
        f"There is no lesson or assignment {name!r}; there are: {', '.join(path.stem for path in known)}."
    )


def _given(work: Path) -> dict[str, str]:
    """What was copied last; where that is not known, every copy counts as changed."""
    try:
        return dict(json.loads((work / GIVEN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _write(text: str, path: Path) -> None:
    _draft(path).write_text(text, encoding="utf-8")
    _draft(path).replace(path)


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name.lstrip('.')}.part")


def main(names: Sequence[str], root: Path = ROOT, work: Path = WORK) -> int:
    """Start these lessons or assignments afresh."""
    if not names:
        print('Which? For example: make fresh LESSONS="02 assignment4"', file=sys.stderr)
        return 1
    try:
        print(*start_afresh(names, root, work), sep=os.linesep)
    except UnknownName as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
