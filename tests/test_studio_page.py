"""The studio's page, in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import sys
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import textured
from media import make_clip
from PIL import Image
from studio_server import StudioServer
from test_studio import LITTLE, by_command, render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"),
    "--use-fake-ui-for-media-stream",
)
SLOW = {"steps": 6, "octaves": 2}
PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("page") / "clips"
    root.mkdir()
    picture = textured(120, 400)
    moves = [np.ascontiguousarray(picture[:, 4 * k : 4 * k + 160]) for k in range(24)]
    make_clip(root / "film.mp4", moves, sound="aac")
    return root


@pytest.fixture(scope="module")
def studio(folder, tmp_path_factory):
    server = StudioServer(folder, tmp_path_factory.mktemp("presets"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *root])
        yield opened
        opened.close()


class Tab:
    """A page of the browser, and what went wrong in it."""

    def __init__(self, browser, studio, **how):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **how)
        self.page = self.context.new_page()
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.open(studio)

    def open(self, studio):
        self.page.goto(studio.address)
        self.page.wait_for_selector("#knobs .knob")

    def until(self, script, argument=None, patience=PATIENCE):
        """Wait until a script is true; the policy of the page lets none be injected."""
        deadline = time.monotonic() + patience
        while not (value := self.page.evaluate(script, argument)):
            assert time.monotonic() < deadline, (script, self.errors)
            time.sleep(0.05)
        return value

    def choose(self, clip="film.mp4"):
        self.page.select_option("#clip", clip)
        self.until("document.getElementById('after').naturalWidth > 0")

    def dreams_again(self, act):
        """Do something, wait until the dream follows, and return the seconds that it took."""
        before = self.page.get_attribute("#after", "src")
        began = time.monotonic()
        act()
        self.until(
            "before => { const a = document.getElementById('after'); "
            "return a.src !== before && a.getAttribute('src') !== before && a.complete }",
            before,
        )
        return time.monotonic() - began

    def set(self, name, value):
        self.page.evaluate(
            "document.querySelectorAll('#knobs details').forEach(d => d.open = true)"
        )
        self.page.fill(f"#knob-{name}", str(value))
        self.page.dispatch_event(f"#knob-{name}", "change")


@pytest.fixture
def tab(browser, studio):
    studio.json("PUT", "/api/draft", {})
    made = Tab(browser, studio)
    yield made
    made.context.close()
    # A request that a later one replaces is answered with 409, which browsers log.
    assert [e for e in made.errors if "409" not in e and "404" not in e] == []


def test_a_clip_is_opened_scrubbed_and_dreamed(tab):
    tab.choose()
    assert "of 0:00.9" in tab.page.inner_text("#clock")
    tab.until("document.querySelector('[data-name=creatures] .thumb').naturalWidth > 0")
    tab.until("document.querySelector('[data-name=eyes] .thumb').naturalWidth > 0")

    def scrub():
        tab.page.evaluate(
            "const t = document.getElementById('time'); t.value = 0.4; "
            "t.dispatchEvent(new Event('input'))"
        )

    before = tab.page.get_attribute("#before", "src")
    tab.dreams_again(scrub)
    assert tab.page.get_attribute("#before", "src") != before
    tab.page.evaluate(
        "const s = document.getElementById('split'); s.value = 20; "
        "s.dispatchEvent(new Event('input'))"
    )
    clip = tab.page.evaluate("getComputedStyle(document.getElementById('after')).clipPath")
    assert "20%" in clip


def test_a_knob_gives_a_new_picture_soon(tab, capsys):
    tab.choose()
    taken = [tab.dreams_again(lambda v=v: tab.set("color", v)) for v in (0.0, 0.3, 1.0)]
    with capsys.disabled():
        print(f"\nknob to picture: {', '.join(f'{t:.2f}' for t in taken)} s", file=sys.stderr)
    assert tab.page.is_visible("text=reset >> nth=0")
    tab.dreams_again(lambda: tab.page.click("#reset-all"))
    assert tab.page.input_value("#knob-color") == "0.7"


def test_a_preset_sets_the_knobs(tab):
    tab.choose()
    tab.dreams_again(lambda: tab.page.click("[data-name=psychedelic]"))
    assert tab.page.input_value("#knob-color") == "0"
    assert tab.page.get_attribute("[data-name=psychedelic]", "aria-checked") == "true"


def test_a_wrong_value_is_said(tab):
    tab.choose()
    tab.set("layers", "Mixed_9z")
    tab.until("document.getElementById('status').classList.contains('bad')")
    assert "Mixed_9z" in tab.page.inner_text("#status")
    tab.errors.clear()  # the refusal is logged


def test_two_seconds_play(tab):
    tab.choose()
    for name, value in LITTLE.items():
        tab.set(name, value)
    tab.page.click("#move")
    tab.until("document.getElementById('moving').readyState >= 3")
    tab.until("document.getElementById('moving').currentTime > 0")
    tab.page.click("#move")
    assert not tab.page.is_visible("#moving")


def test_a_render_is_made_stopped_resumed_and_played(tab, folder, tmp_path):
    tab.choose()
    for name, value in {**LITTLE, **SLOW, "frames": 10}.items():
        tab.set(name, value)
    tab.page.click("#render")
    tab.until("document.querySelector('.render')?.dataset.done >= 2")
    assert "frames/s" in tab.page.inner_text(".render")
    tab.page.click(".render >> text=Stop")
    tab.until("document.querySelector('.render').dataset.status === 'stopped'")
    assert not (folder / "film.dream.mp4").exists()
    tab.page.click(".render >> text=Resume")
    tab.until("document.querySelector('.render').dataset.status === 'done'")
    tab.until("document.querySelector('.render svg polyline') !== null")
    tab.until("document.querySelector('.render .picture').naturalWidth > 0")
    tab.page.click(".render >> text=Watch")
    tab.until("document.querySelector('video.watched')?.readyState >= 3")
    expected = by_command(folder, "film.dream.mp4", tmp_path, **SLOW, frames=10)
    assert (folder / "film.dream.mp4").read_bytes() == expected
    with tab.page.expect_download() as download:
        tab.page.click(".render >> text=Download")
    assert Path(download.value.path()).read_bytes() == expected


def test_a_page_that_is_opened_again_is_where_it_was(tab, studio):
    tab.choose()
    tab.set("color", 0.2)
    id = render(studio, "reload.mp4", **SLOW, frames=12)["id"]
    tab.until("document.querySelector('.render[data-status=running]') !== null")
    time.sleep(0.6)
    tab.page.reload()
    tab.until("document.getElementById('clip').value === 'film.mp4'")
    tab.until("document.getElementById('knob-color').value === '0.2'")
    tab.until("document.querySelector('.render') !== null")
    studio.wait_for(id, "done")


def test_two_pages_show_the_same(tab, browser, studio):
    other = Tab(browser, studio)
    tab.choose()
    tab.set("detail", 0.9)
    other.until("document.getElementById('clip').value === 'film.mp4'")
    other.until("document.getElementById('knob-detail').value === '0.9'")
    id = render(studio, "both.mp4", frames=6)["id"]
    for page in (tab, other):
        page.until(
            "document.querySelector('.render h3').textContent === 'both.mp4' && "
            "document.querySelector('.render').dataset.status === 'done'"
        )
    other.context.close()
    assert studio.render(id)["status"] == "done"


def test_a_page_finds_its_studio_again(browser, folder, tmp_path):
    server = StudioServer(folder, tmp_path / "presets")
    port = server.host.partition(":")[2]
    tab = Tab(browser, server)
    tab.choose()
    id = render(server, "cut.mp4", **SLOW)["id"]
    server.wait_for(id, "running", done=2)
    server.kill()
    assert not (folder / "cut.mp4").exists()
    again = StudioServer(folder, tmp_path / "presets", "--port", port)
    try:
        tab.open(again)  # its token is another one
        tab.until("document.querySelector('.render[data-status=done]') !== null")
        again.wait_for(id, "done")
    finally:
        tab.context.close()
        again.stop()
    assert (folder / "cut.mp4").read_bytes() == by_command(folder, "cut.mp4", tmp_path, **SLOW)


def test_the_camera_is_dreamed(tab, studio, capsys):
    tab.page.click("#mode-live")
    tab.page.click("#camera")
    tab.until("Number(document.getElementById('meter').dataset.frames) >= 30")
    meter = tab.page.inner_text("#meter")
    with capsys.disabled():
        print(f"\nlive: {meter}", file=sys.stderr)
    assert "frames/s" in meter
    colours = tab.page.evaluate(
        "(() => { const c = document.getElementById('live-picture'); const d = "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data; "
        "return new Set(d).size })()"
    )
    assert colours > 50
    tab.page.click("#record")
    time.sleep(1.5)
    with tab.page.expect_download() as download:
        tab.page.click("#record")
    assert download.value.suggested_filename.startswith("live-dream.")
    assert Path(download.value.path()).stat().st_size > 1000
    tab.page.click("#camera")
    tab.until("document.getElementById('camera').textContent === 'Start the camera'")


def test_it_is_used_by_keyboard_alone(tab):
    keyboard = tab.page.keyboard

    def focus(id, most=80):
        for _ in range(most):
            if tab.page.evaluate("document.activeElement?.id") == id:
                return
            keyboard.press("Tab")
        raise AssertionError(id)

    focus("clip")
    keyboard.press("ArrowDown")
    tab.until("document.getElementById('after').naturalWidth > 0")
    tab.page.focus("#preset-list [aria-checked=true]")
    tab.dreams_again(lambda: keyboard.press("ArrowDown"))
    assert tab.page.get_attribute("[data-name=beasts]", "aria-checked") == "true"
    focus("split")
    before = tab.page.input_value("#split")
    keyboard.press("ArrowLeft")
    assert tab.page.input_value("#split") != before
    focus("time")
    tab.dreams_again(lambda: keyboard.press("ArrowRight"))
    focus("knob-color")
    tab.page.keyboard.press("Shift+Tab")
    tab.dreams_again(lambda: keyboard.press("ArrowLeft"))
    assert float(tab.page.input_value("#knob-color")) < 0.7
    outline = tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_it_has_no_serious_faults_of_accessibility(browser, studio, scheme, width):
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    studio.json("PUT", "/api/draft", {})
    tab = Tab(browser, studio, color_scheme=scheme)
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.choose()
    tab.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for mode in ("#mode-clip", "#mode-live"):
        tab.page.click(mode)
        # Sorted out in the page: all that axe finds is too much to be sent.
        serious = tab.page.evaluate(
            f"(async () => {{ {axe}; "
            "const found = await axe.run(document, { resultTypes: ['violations'] }); "
            "return found.violations.filter(f => ['serious', 'critical'].includes(f.impact))"
            ".map(f => `${f.id}: ${f.nodes[0].html.slice(0, 120)}`) })()"
        )
        assert serious == []
    overflow = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0
    tab.context.close()


SHOTS = {
    "studio": ({"width": 1280, "height": 800}, "light", "clip"),
    "studio-live": ({"width": 1280, "height": 800}, "dark", "live"),
    "studio-phone": ({"width": 390, "height": 780}, "light", "clip"),
    "studio-phone-dark": ({"width": 390, "height": 780}, "dark", "clip"),
}
DOCS = Path(__file__).parent.parent / "docs"


def test_pictures_of_the_page_are_those_of_the_documents(browser, tmp_path):
    """With UPDATE_SCREENSHOTS=1 they are taken anew, of a photograph that is panned over."""
    with Image.open(DOCS.parent / "samples" / "cat.jpg") as opened:
        picture = np.array(opened.convert("RGB").resize((520, 347)))
    root = tmp_path / "clips"
    root.mkdir()
    pan = [np.ascontiguousarray(picture[20:320, k : k + 480]) for k in range(24)]
    make_clip(root / "cat.mp4", pan)
    server = StudioServer(root, tmp_path / "presets")
    renew = os.environ.get("UPDATE_SCREENSHOTS")
    try:
        for name in SHOTS if renew else ("studio",):
            size, scheme, mode = SHOTS[name]
            tab = Tab(browser, server, color_scheme=scheme, permissions=["camera"])
            tab.page.set_viewport_size(size)
            tab.choose("cat.mp4")
            if renew:
                tab.until(
                    "[...document.querySelectorAll('.thumb')].filter(t => t.dataset.of).length > 5"
                )
            if mode == "live":
                tab.page.click("#mode-live")
                tab.page.click("#camera")
                tab.until("Number(document.getElementById('meter').dataset.frames) >= 20")
            elif name == "studio":
                body = {"clip": "cat.mp4", "target": "cat.dream.mp4", "preset": "creatures"}
                values = {} if renew else {**LITTLE, "frames": 2}
                made = server.json("POST", "/api/renders", {**body, "values": values})
                server.wait_for(made["id"], "done", timeout=120)
                tab.until("document.querySelector('.render .picture').naturalWidth > 0")
            shot = tmp_path / f"{name}.png"
            tab.page.screenshot(path=str(shot))
            with Image.open(shot) as taken:
                assert taken.size == tuple(size.values())
                assert np.asarray(taken.convert("L")).std() > 20  # it shows something
                if renew:
                    taken.convert("RGB").save(DOCS / f"{name}.jpg", quality=82)
            with Image.open(DOCS / f"{name}.jpg") as known:
                assert known.size == tuple(size.values())
            tab.context.close()
    finally:
        server.stop()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_page_that_rests_costs_nothing(tab, studio):
    tab.choose()
    tab.until(
        "[...document.querySelectorAll('.thumb')].filter(t => t.dataset.of).length >= "
        "document.querySelectorAll('.preset').length - 4"
    )
    time.sleep(1)
    before = studio.cpu_seconds()
    time.sleep(4)
    assert studio.cpu_seconds() - before < 0.2


def test_the_page_asks_no_other_server(browser, studio):
    asked = set()
    context = browser.new_context()
    page = context.new_page()
    page.on("request", lambda request: asked.add(request.url.partition("?")[0]))
    page.goto(studio.address)
    page.wait_for_selector("#knobs .knob")
    context.close()
    assert asked
    assert all(url.startswith((f"http://{studio.host}/", "blob:")) for url in asked)
