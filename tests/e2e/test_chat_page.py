"""The chat page in a real Chromium: talking, stopping, settings, keyboard, width, axe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serverkit import Server, serving

pytestmark = pytest.mark.e2e
selenium = pytest.importorskip("selenium", reason="the browser tests need selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def slow(server: Server) -> Iterator[Server]:
    """An answer that is to be stopped must last; the native runtime needs 0.2 s for the longest."""
    with serving("--runtime", "torch", "--threads", "1") as running:
        yield running


@pytest.fixture
def browser(server: Server, tmp_path: Path) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--lang=en-US",
        "--window-size=1200,900",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        driver.get(server.url)
        yield driver
        said = [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]
        assert not said, said
    finally:
        driver.quit()


def wait(browser: Any, true: Any, seconds: float = 60) -> Any:
    return WebDriverWait(browser, seconds, 0.05).until(lambda _: true())


def ask(browser: Any, text: str) -> None:
    browser.find_element(By.ID, "input").send_keys(text, Keys.ENTER)


def answers(browser: Any) -> list[Any]:
    return browser.find_elements(By.CSS_SELECTOR, "article.assistant")


def last(browser: Any) -> str:
    return answers(browser)[-1].find_element(By.CLASS_NAME, "text").text


def ended(browser: Any) -> bool:
    return not browser.find_element(By.ID, "stop").is_displayed() and bool(answers(browser))


def settle(browser: Any, **fields: str) -> None:
    panel = browser.find_element(By.ID, "panel")
    if not panel.is_displayed():
        browser.find_element(By.ID, "settings").click()
    for name, value in fields.items():
        field = browser.find_element(By.ID, name)
        field.clear()
        field.send_keys(value, Keys.TAB)
    browser.find_element(By.ID, "settings").click()


def test_a_conversation(browser: Any) -> None:
    assert browser.switch_to.active_element.get_attribute("id") == "input"
    wait(browser, lambda: "demo" in browser.title)
    settle(browser, temperature="0", seed="1")
    ask(browser, "What can a horse do?")
    wait(browser, lambda: ended(browser))
    first = last(browser)
    assert first
    note = answers(browser)[-1].find_element(By.CLASS_NAME, "note").text
    assert "tokens/s" in note and "first after" in note
    ask(browser, "And a dog?")
    wait(browser, lambda: len(answers(browser)) == 2 and ended(browser))
    again = [b for b in browser.find_elements(By.TAG_NAME, "button") if b.text == "Answer again"]
    assert len(again) == 1
    before = last(browser)
    again[0].click()
    wait(browser, lambda: len(answers(browser)) == 2 and ended(browser))
    assert last(browser) == before  # the same seed at temperature 0
    browser.find_element(By.ID, "fresh").click()
    assert not browser.find_elements(By.TAG_NAME, "article")


def test_an_answer_is_stopped_by_button_and_by_escape(browser: Any, slow: Server) -> None:
    browser.get(slow.url)
    wait(browser, lambda: "demo" in browser.title)
    # Hot and long: it does not end by itself before it is stopped.
    settle(browser, temperature="2", top_p="1", max_tokens="1000")
    for i, stop in enumerate(("button", "escape")):
        ask(browser, "Tell me a long story.")
        wait(browser, lambda n=i: len(answers(browser)) == n + 1 and last(browser))
        if stop == "button":
            browser.find_element(By.ID, "stop").click()
        else:
            browser.find_element(By.ID, "input").send_keys(Keys.ESCAPE)
        wait(browser, lambda: ended(browser))
        assert "stopped" in answers(browser)[-1].text
    wait(browser, lambda: slow.metric("request_cancelled_total") == 2)


def test_shift_enter_makes_a_line(browser: Any) -> None:
    field = browser.find_element(By.ID, "input")
    field.send_keys("one", Keys.SHIFT + Keys.ENTER, Keys.NULL, "two")
    assert field.get_attribute("value") == "one\ntwo"
    assert not browser.find_elements(By.TAG_NAME, "article")


def test_what_was_said_is_text_and_not_markup(browser: Any) -> None:
    settle(browser, max_tokens="2")
    ask(browser, "<img src=x onerror=document.title='broken'><b>bold</b>")
    wait(browser, lambda: ended(browser))
    said = browser.find_element(By.CSS_SELECTOR, "article.user .text")
    assert said.text.startswith("<img") and not said.find_elements(By.TAG_NAME, "b")
    assert "broken" not in browser.title


def test_errors_are_told(browser: Any) -> None:
    settle(browser, max_tokens="2", temperature="9")
    ask(browser, "Hi!")
    wait(browser, lambda: ended(browser))
    assert "temperature" in last(browser)
    assert "failed" in answers(browser)[-1].get_attribute("class")
    settle(browser, temperature="0")
    ask(browser, "Hi!")
    wait(browser, lambda: len(answers(browser)) == 1 and ended(browser))
    assert "temperature" not in last(browser)
    # The browser notes a status that is no success.
    browser.get_log("browser")


def test_chinese_and_darkness_are_remembered(browser: Any) -> None:
    browser.find_element(By.ID, "language").click()
    assert browser.find_element(By.ID, "send").text == "发送"
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "zh-CN"
    theme = browser.find_element(By.TAG_NAME, "html").get_attribute("data-theme")
    browser.find_element(By.ID, "theme").click()
    other = browser.find_element(By.TAG_NAME, "html").get_attribute("data-theme")
    assert {theme, other} == {"light", "dark"}
    browser.refresh()
    assert browser.find_element(By.ID, "send").text == "发送"
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("data-theme") == other


def test_nothing_sticks_out_on_a_narrow_screen(browser: Any) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True},
    )
    settle(browser, max_tokens="2")
    ask(browser, "x" * 200)
    wait(browser, lambda: ended(browser))
    browser.find_element(By.ID, "settings").click()
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= 360


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, theme: str) -> None:
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe is not installed").Axe()
    root = browser.find_element(By.TAG_NAME, "html")
    if root.get_attribute("data-theme") != theme:
        browser.find_element(By.ID, "theme").click()
    settle(browser, max_tokens="3")
    ask(browser, "Hi!")
    wait(browser, lambda: ended(browser))
    browser.find_element(By.ID, "settings").click()
    found = axe.run(browser)["violations"]
    assert not [
        (one["id"], one["help"]) for one in found if one["impact"] in ("serious", "critical")
    ]


def test_everything_is_reached_by_keyboard(browser: Any) -> None:
    seen = []
    browser.find_element(By.TAG_NAME, "body").click()
    for _ in range(8):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(browser.switch_to.active_element.get_attribute("id"))
    assert {"settings", "theme", "language", "input", "send"} <= set(seen)


def test_nothing_is_fetched_from_elsewhere(browser: Any, server: Server) -> None:
    names = browser.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name)"
    )
    assert all(name.startswith((server.url, "data:")) for name in names), names
