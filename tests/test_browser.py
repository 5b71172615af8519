"""What a reader sees in a real browser, offline; skipped where Playwright or Chromium is missing."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.colours import contrast
from tools.normal_form import ROOT, read
from tools.page import html

sync_api = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
LESSON = "02_kl_divergence.ipynb"
BOX = """() => {
    const box = document.querySelector('.jp-NotebookPanel .alert-info');
    document.querySelector('.jp-WindowedPanel-outer').scrollBy(0, box ? 0 : 600);
    return box && ['color', 'backgroundColor'].map(name => getComputedStyle(box)[name]);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.BrowserContext]:
    """A browser that reaches nothing but this machine."""
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = started.new_context(viewport={"width": 1300, "height": 900})
        context.route("**/*", lambda route: route.continue_() if ours(route.request.url) else route.abort())
        yield context
        started.close()


def ours(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:", "http://127.0.0.1"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a JupyterLab started as `make lab` does, and the working copy that it shows."""
    place = tmp_path_factory.mktemp("course")
    for name in ("notebooks", "assignments", "labconfig", "tools", "course_utils", "pyproject.toml"):
        (place / name).symlink_to(ROOT / name)
    homes = {f"JUPYTER_{kind}_DIR": str(place / "home" / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = "import sys; from pathlib import Path; from tools import lab; place = Path(sys.argv.pop(1))\n"
    start += "lab.place.__defaults__ = (place,)\nsys.exit(lab.main(sys.argv[1:]))"
    options = ["--allow-root", "--no-browser", f"--port={port}", "--IdentityProvider.token="]
    server = subprocess.Popen(
        [sys.executable, "-c", start, str(place), *options, "--LabApp.expose_app_in_browser=True"],
        cwd=ROOT,
        env=os.environ | homes,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(port)
    yield f"http://127.0.0.1:{port}", place / "work"
    server.terminate()
    server.wait(30)


def wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("JupyterLab did not start within a minute")


def channels(colour: str) -> list[int]:
    """`rgb(0, 96, 100)` as its three numbers."""
    return [int(part) for part in colour[4:-1].split(",")]


def opened(browser: sync_api.BrowserContext, address: str) -> sync_api.Page:
    page = browser.new_page()
    page.goto(f"{address}/lab/tree/{LESSON}")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
    page.wait_for_function("jupyterapp.shell.currentWidget.context?.isReady")
    page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status == 'idle'")
    return page


def test_a_page_shows_its_formulas_without_a_network(browser, tmp_path):
    (tmp_path / "lesson.html").write_text(html(read(ROOT / "notebooks" / LESSON), "lesson"), encoding="utf-8")
    page, asked, errors = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "lesson.html").as_uri())
    heights = page.evaluate("[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height)")
    assert len(heights) > 100 and min(heights) > 5
    assert [url for url in asked if not ours(url)] == errors == []
    assert "\\frac" not in page.evaluate("document.body.innerText")


def test_make_lab_opens_the_start_page_and_it_leads_to_a_lesson_without_validate(browser, lab):
    address, _ = lab
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector(".jp-MarkdownViewer table", timeout=60_000)
    page.click("text=02 · The KL divergence")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
    assert page.locator(".validate-button").count() == 0


def test_opening_and_saving_a_lesson_changes_nothing(browser, lab):
    address, work = lab
    page = opened(browser, address)
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    before, after = (read(folder / LESSON) for folder in (ROOT / "notebooks", work))
    for notebook in (before, after):
        notebook.metadata.language_info.pop("version")  # of this machine's Python
    assert before == after


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_boxes_are_readable_in_both_themes(browser, lab, theme):
    page = opened(browser, lab[0])
    page.evaluate("name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", theme)
    page.wait_for_function("name => document.body.dataset.jpThemeName == name", arg=theme)
    colours = page.wait_for_function(BOX, polling=200, timeout=60_000).json_value()
    assert contrast(*map(channels, colours)) >= 4.5, colours
