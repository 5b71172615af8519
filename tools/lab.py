"""JupyterLab for students on their working copy (`make lab`) or for instructors on the whole course (`make teach`).

Options that are not ours go to JupyterLab.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jupyterlab.labapp import LabApp

from tools import start_page, working_copy
from tools.normal_form import ROOT

LABCONFIG = ROOT / "labconfig"
EXCHANGE = "exchange"  # formgrader warns where there is none; nbgrader_config.py may name another
NO_ENTRY = "You may not write %s: copy this folder to one of your own, then run again there."
ROOT_SENTENCE = (
    "You are root, and JupyterLab does not start for root unless it is told to: in a container, add "
    'LABFLAGS="--allow-root --no-browser"; elsewhere, use an account of your own.'
)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the folder, set what JupyterLab reads, and start it."""
    parser = argparse.ArgumentParser(prog="python -m tools.lab", allow_abbrev=False)
    parser.add_argument("--teach", action="store_true", help="with nbgrader's tools, on the whole course folder")
    parser.add_argument("--folder", type=Path, help="open this folder itself instead of a working copy")
    args, flags = parser.parse_known_args(argv)
    if getattr(os, "geteuid", lambda: 1)() == 0 and "--allow-root" not in flags:
        print(ROOT_SENTENCE, file=sys.stderr)
        return 1
    try:
        folder, first = place(args.teach, args.folder)
    except PermissionError as error:
        print(NO_ENTRY % error.filename, file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    set_environment(args.teach)
    exchange = [f"--Exchange.root={folder / EXCHANGE}"] if args.teach else []
    LabApp.launch_instance([*settings(folder, first), *exchange, *flags])
    return 0


def place(teach: bool, folder: Path | None, root: Path = ROOT) -> tuple[Path, str]:
    """The folder to open and the page to begin with, "" for none; a student's working copy is brought up to date."""
    if teach:
        (root / EXCHANGE).mkdir(exist_ok=True)
        return root, "docs/instructors.md"
    if folder:
        return folder.resolve(), ""
    work = root / "work"
    print("".join(f"{sentence}\n" for sentence in working_copy.bring_up_to_date(root, work)), end="")
    (work / start_page.NAME).write_text(start_page.page(root), encoding="utf-8")
    return work, start_page.NAME


def set_environment(teach: bool) -> None:
    """Where JupyterLab finds the course's settings, and nbgrader the programs that it calls by their bare names."""
    config = LABCONFIG / "teach" if teach else ROOT
    for name, first in (("JUPYTER_CONFIG_PATH", config), ("PATH", Path(sys.executable).parent)):
        os.environ[name] = os.pathsep.join(filter(None, [str(first), os.environ.get(name)]))


def settings(folder: Path, first: str) -> list[str]:
    """The options that JupyterLab is started with."""
    page = [f"--LabApp.default_url=/lab/tree/{first}"] if first else []
    style = f"--ServerApp.tornado_settings=static_custom_path={LABCONFIG / 'custom'}"
    return [f"--ServerApp.root_dir={folder}", "--LabApp.custom_css=True", style, *page]


if __name__ == "__main__":
    sys.exit(main())
