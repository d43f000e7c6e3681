"""What people change on the status page, in a real Chromium before a real daemon: with a token, and by keyboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.site import READ, WRITE, Hostile, Site, ask_for_change, row, unlock

if TYPE_CHECKING:
    from tests.e2e.browser import Page
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage


async def test_a_member_is_drained_by_keyboard(page: Page, site: Site) -> None:
    """Token, member, a look at what would be left, reason, Enter: the daemon knows who wanted it and why.

    The banner counts down until it is safe to stop the member, and by the same dialog it is ready again.
    """
    await site.show(page)
    assert not await page.run(f"document.querySelector('{row('mx2', 'button')}').checkVisibility()")
    await unlock(page, WRITE)
    await page.shows("#unlock", "Forget token")
    await ask_for_change(page, "mx2")
    await page.shows("#preview tr", "mx217 %out")
    await page.tab_to("#reason")
    await page.type("new kernel")
    assert await page.run("document.activeElement.closest('dialog') !== null")
    await page.press("Enter")
    await page.wait("!document.querySelector('#change-dialog').open")
    await page.shows("#notice", "mail/mx2 is set to drain: it is in no new answer.")
    assert await page.run(f"document.activeElement.matches('{row('mx2', 'button')}')")
    told = json.loads(site.cli("pool", "mail", "--json").stdout)["members"]["mx2"]
    assert (told["admin"], told["admin_who"], told["admin_reason"]) == ("drain", "alice (token)", "new kernel")
    await page.shows(".banner", "mail/mx2 drains since")
    await page.shows(".banner.good", "safe to stop: no cache and no client has it any more")
    await page.shows("#event-list li:first-child", "mx2 set to drain by alice (token): new kernel")
    await ask_for_change(page, "mx2")
    assert await page.run("document.activeElement.value") == "ready"
    await page.tab_to("#change-dialog button.main")
    await page.press("Enter")
    await page.shows(row("mx2", ".published"), "in answers")
    assert site.member("mx2")["admin"] == "ready"


async def test_a_change_is_sent_once(page: Page, site: Site) -> None:
    """Whoever is impatient presses Enter twice."""
    await site.show(page)
    await unlock(page, WRITE)
    await ask_for_change(page, "mx2")
    await page.run("for (let n = 0; n < 3; n++) document.querySelector('#change-dialog form').requestSubmit()")
    await page.wait("!document.querySelector('#change-dialog').open")
    assert site.cli("drain", "mail/mx3").returncode == 0
    await page.shows("#event-list li", "mx3 set to drain")
    events = await page.run("[...document.querySelectorAll('#event-list .text')].map(one => one.textContent)")
    assert len([event for event in events if event.startswith("mx2 set to drain")]) == 1


async def test_a_dialog_begins_anew(page: Page, site: Site) -> None:
    """What was shown or typed for one member is gone when the next one's is opened."""
    await site.show(page)
    await unlock(page, READ)
    await ask_for_change(page, "mx2")
    await page.shows("#preview tr", "mx2")
    await page.tab_to("#reason")
    await page.type("kernel")
    await page.press("Enter")
    await page.shows("#change-dialog .error", "this token is for reading only")
    await page.press("Escape")
    left = "['#reason', '#preview', '#change-dialog .error'].map(one => document.querySelector(one))"
    await page.run(f"document.querySelector({json.dumps(row('mx3', 'button'))}).click()")
    assert await page.run(f"{left}.map(one => one.value ?? one.textContent)") == ["", "", ""]
    await page.forgive("403")


async def test_a_weight_is_changed(page: Page, site: Site) -> None:
    """A number is a weight for now, with what it does shown before; nothing is the configured one."""
    await site.show(page)
    await unlock(page, WRITE)
    await ask_for_change(page, "mx2")
    await page.tab_to("#weight")
    await page.type("3")
    await page.shows("#preview tr", "mx217 %38 %")
    await page.press("Enter")
    await page.shows(row("mx2", ".weight"), "3 (set)")
    assert site.member("mx2")["effective_weight"] == 3
    await ask_for_change(page, "mx2")
    await page.run("document.querySelector('[value=weight]').click()")
    await page.tab_to("#change-dialog button.main")
    await page.press("Enter")
    await page.wait(f"document.querySelector('{row('mx2', '.weight')}').textContent === '1'")


async def test_a_dialog_keeps_the_focus_and_escape_closes_it(page: Page, site: Site) -> None:
    """Tab goes round in it; Escape changes nothing, and gives the focus back to where it was."""
    await site.show(page)
    await unlock(page, WRITE)
    await ask_for_change(page, "mx3")
    for _ in range(20):
        await page.press("Tab")
        # Between the last and the first, the focus is with the browser itself, which to the page is the body.
        assert await page.run(
            "document.activeElement.closest('dialog, body').matches('dialog, body:has(dialog[open])')"
        )
        assert not await page.run("document.activeElement.matches('main *, header *')")
    await page.press("Escape")
    await page.wait("!document.querySelector('#change-dialog').open")
    assert await page.run(f"document.activeElement.matches('{row('mx3', 'button')}')")
    assert site.member("mx3")["admin"] == "ready"


async def test_what_has_the_focus_is_seen(page: Page, site: Site) -> None:
    """All that can be clicked is reached by Tab, and has a line around it then."""
    await site.show(page)
    await unlock(page, WRITE)
    await page.wait("!document.querySelector('dialog[open]')")
    wanted = await page.run(
        "[...document.querySelectorAll('a, button, input, select')].filter(one => one.checkVisibility()).length"
    )
    await page.run("document.activeElement.blur(), document.body.dataset.seen = 0")
    for _ in range(wanted + 8):
        await page.press("Tab")
        await page.run(
            "document.activeElement.dataset.been ?? (document.activeElement.dataset.been = "
            "getComputedStyle(document.activeElement).outlineStyle)"
        )
    outlines = await page.run(
        "[...document.querySelectorAll('a, button, input, select')].filter(one => one.checkVisibility())"
        ".map(one => one.dataset.been ?? one.outerHTML)"
    )
    assert outlines == ["solid"] * wanted


async def test_a_wrong_token_unlocks_nothing(page: Page, site: Site) -> None:
    """The daemon's own words are shown, in the dialog that stays open, and nothing is kept."""
    await site.show(page)
    await unlock(page, "a-token-that-nobody-knows")
    await page.shows("#unlock-dialog .error", "this token is wrong")
    assert await page.run("document.querySelector('#unlock-dialog').open && !sessionStorage.length")
    await page.forgive("401")


async def test_a_token_for_reading_changes_nothing(page: Page, site: Site) -> None:
    """It unlocks, for it is right; what the daemon says to a change is shown in the dialog."""
    await site.show(page)
    await unlock(page, READ)
    await ask_for_change(page, "mx4")
    await page.press("Enter")
    await page.shows("#change-dialog .error", "this token is for reading only")
    assert site.member("mx4")["admin"] == "ready"
    await page.forgive("403")


async def test_a_token_is_kept_until_it_is_forgotten(page: Page, site: Site) -> None:
    """It is there after a reload of the page, and no more after "Forget token"."""
    await site.show(page)
    await unlock(page, WRITE)
    await page.shows("#unlock", "Forget token")
    await site.show(page)
    await page.shows("#unlock", "Forget token")
    await page.tab_to("#unlock")
    await page.press("Enter")
    await page.wait("document.querySelector('#unlock').textContent === 'Unlock' && !sessionStorage.length")
    await page.shows("#link", "live")


async def test_a_token_that_was_taken_away_is_asked_for_anew(page: Page, site: Site) -> None:
    """Who comes with a token of yesterday sees why there is nothing to see, and may enter another one."""
    await site.show(page)
    await page.run("sessionStorage.setItem('dnslb-token', 'a-token-of-yesterday')")
    await page.goto(f"http://{site.door}/?again")
    await page.shows("#unlock-dialog[open] .error", "this token is wrong")
    await page.type(WRITE)
    await page.press("Enter")
    await page.shows("#link", "live")
    await page.shows(row("mx1", ".state"), "up")
    await page.forgive("401")


async def test_what_a_server_says_is_never_html(page: Page, stage: Stage) -> None:
    """A greeting and a reason with tags in them are text, wherever they are shown."""
    tag = "<img src=x onerror=document.title='taken'>"
    hostile = Hostile(f"554 {tag}\r\n")
    stage.callback(hostile.end)
    site = Site(stage, hostile)
    await site.show(page)
    await page.shows(row("mx1", ".why"), tag)
    assert site.cli("drain", "mail/mx1", "--reason", tag).returncode == 0
    await page.shows(".banner", tag)
    await page.shows("#event-list li", tag)
    await unlock(page, WRITE)
    await ask_for_change(page, "mx1")
    await page.shows("#change-now", tag)
    assert not await page.run("document.images.length")
    assert "taken" not in await page.run("document.title")


async def test_no_window_cuts_anything_off(page: Page, stage: Stage, members: Members) -> None:
    """From a phone to a large screen each row is all to be seen, with its button and long words."""
    site = Site(stage, members, weights={"mx1": 65535})
    members.kill("mx2")
    assert site.cli("weight", "mail/mx1", "12345").returncode == 0
    assert site.cli("drain", "mail/mx3", "--reason", "x" * 200).returncode == 0
    await site.show(page)
    await unlock(page, WRITE)
    await page.shows(row("mx2", ".state"), "down")
    await page.shows(row("mx3", ".why"), "x" * 200)
    rows = "[...document.querySelectorAll('.row, .row > :not(.why)')].filter(one => one.checkVisibility())"
    for width in (360, 719, 720, 1199, 1201, 1280, 1920):
        await page.viewport(width, 900)
        wide = await page.run(
            f"{rows}.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"
        )
        assert (width, wide) == (width, [])
        assert await page.run("document.documentElement.scrollWidth <= innerWidth")
        heights = await page.run("[...document.querySelectorAll('.act button')].map(one => one.offsetHeight)")
        assert max(heights) < 32  # one line


async def test_a_phone_is_wide_enough(page: Page, stage: Stage) -> None:
    """At 360 pixels nothing is wider than the window, whatever a server says; nor is a dialog."""
    hostile = Hostile(f"554 {'x' * 400}\r\n")
    stage.callback(hostile.end)
    site = Site(stage, hostile)
    await page.viewport(360, 740)
    await site.show(page)
    await page.shows(row("mx1", ".why"), "x" * 100)
    await unlock(page, WRITE)
    await page.wait("!document.querySelector('dialog[open]')")
    assert await page.run("document.documentElement.scrollWidth <= innerWidth && innerWidth === 360")
    await ask_for_change(page, "mx1")
    await page.wait("document.querySelector('#preview').children.length")
    assert await page.run("document.querySelector('dialog[open]').scrollWidth <= 360")
    assert await page.run("document.documentElement.scrollWidth <= innerWidth")
