"""The status page in a real Chromium, before a real daemon: what it shows, how it follows, and what it can change."""

from __future__ import annotations

import json
import re
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import dnslb
from dnslb.pool.health import State, Verdict
from tests.e2e.processes import free_port, listens, until
from tests.e2e.site import Site, row

if TYPE_CHECKING:
    from tests.e2e.browser import Page
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage

FILES = Path(dnslb.__file__).parent / "control" / "page"
VENDORED = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""The SHA-256 of what comes from elsewhere: uPlot 1.6.32, as npm has it."""
CONTRAST = """(() => {
  const channels = text => (text.match(/[\\d.]+/g) ?? []).map(Number).slice(0, 4);
  const linear = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const [red, green, blue, alpha = 1] = channels(getComputedStyle(node).backgroundColor);
      if (alpha === 1) return [red, green, blue];
      if (alpha > 0) throw new Error("a colour that is half seen");
    }
    throw new Error("no ground");
  };
  const found = [];
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest(".unseen, option, script, noscript")) continue;
    const [one, other] = [light(channels(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([ratio, node.className + ": " + node.textContent.slice(0, 40)]);
  }
  return found;
})()"""
"""The contrast of each text to its ground (WCAG 2.2, "contrast ratio"), and what text that is."""


async def test_it_says_what_the_status_says(page: Page, quiet: Site) -> None:
    """Members with their states, weights, shares and addresses; services with who is in their answers; workers."""
    await quiet.show(page)
    status = quiet.status()
    for name, member in status["pools"]["mail"]["members"].items():
        cells = ("admin", "state", "verdict", "published", "weight", "addresses")
        told = {cell: await page.text(row(name, f".{cell}")) for cell in cells}
        assert told == {
            "admin": "ready",
            "state": "● up",
            "verdict": "works",
            "published": "in answers",
            "weight": str(member["weight"]),
            "addresses": " ".join(member["addresses"]),
        }
        assert (await page.text(row(name, ".share .number"))).startswith(f"{100 * member['share']:.2g}"[:2])
        assert (await page.text(row(name, ".since"))).endswith(" ago")
        assert (await page.text(row(name, ".latency .number"))).endswith(" ms")
    services = await page.run("[...document.querySelectorAll('.service h3')].map(one => one.textContent)")
    assert services == list(status["services"])
    await page.shows(".service", "MX · pool mail · all records · TTL 0 s")
    await page.shows(".service .answer", "mx1 50 %")
    for worker in status["workers"]:
        await page.shows(".worker", f"pid {worker['pid']}")
    await page.shows("#link", "live")
    await page.shows("#event-list li", "mx4")
    assert await page.run("document.title") == "dnslb"
    files = await page.run("performance.getEntriesByType('resource').map(one => one.name.split('/page/')[1])")
    assert {file.name for file in FILES.iterdir()} - set(files) == {"index.html", "uPlot.LICENSE.txt"}


async def test_it_follows_a_member_that_dies_and_comes_back(page: Page, site: Site, members: Members) -> None:
    """Without a touch: the member's state, its verdict in words with the reason, who is in the answers, the events."""
    await site.show(page)
    members.kill("mx2")
    await page.shows(row("mx2", ".state"), "✕ down")
    await page.shows(row("mx2", ".verdict"), "refuses connections")
    await page.shows(row("mx2", ".published"), "out")
    await page.shows(row("mx2", ".why"), site.member("mx2")["reason"])
    await page.shows(".pool-head", "3 of 4 in answers")
    await page.wait("![...document.querySelectorAll('.answer b')].some(one => one.textContent === 'mx2')")
    await page.shows("#event-list li:first-child", "mx2")
    members.start("mx2")
    await page.shows(row("mx2", ".state"), "● up")
    await page.shows(row("mx2", ".published"), "in answers")
    await page.shows(".answer b", "mx2")


async def test_a_panic_is_seen_at_once(page: Page, site: Site, members: Members) -> None:
    """All members die: a banner says so and what follows, the tab's title too, and a screen reader says it once."""
    await site.show(page)
    for name in members.addresses:
        members.kill(name)
    await page.shows(".banner.bad", "PANIC in pool mail. Only 0 of its weight of 6 is healthy. Health is ignored")
    await page.shows("#announcer", "PANIC in pool mail.")
    assert (await page.run("document.title")).startswith("(1) PANIC in pool mail")
    assert await page.run("document.querySelector('#announcer').ariaLive") == "assertive"
    members.start("mx1")
    await page.wait("!document.querySelector('.banner.bad') && document.title === 'dnslb'")


async def test_it_waits_for_a_daemon_that_is_started_again(page: Page, site: Site) -> None:
    """What was last known stays, with the time of it; when the daemon is back the page goes on, each event once."""
    await site.show(page)
    await page.shows("#event-list li", "mx4")
    assert site.stop() == 0
    await page.shows(".banner.bad", "No connection to the daemon. Data of ")
    await page.shows(".banner.bad", ", trying again: ")
    assert await page.text(row("mx1", ".state")) == "● up"
    await page.forgive("net::ERR_")
    site.start()
    await page.wait("document.querySelector('#link').textContent === 'live' && !document.querySelector('.banner.bad')")
    assert site.cli("drain", "mail/mx3", "--reason", "after the start").returncode == 0
    await page.shows(row("mx3", ".admin"), "drain")
    await page.shows("#event-list li", "mx3 set to drain")
    texts = await page.run("[...document.querySelectorAll('#event-list li')].map(one => one.textContent)")
    assert len(texts) == len(set(texts))


async def test_dark_and_light_are_readable(page: Page, site: Site, members: Members) -> None:
    """It follows the system, charts too, and each text has a contrast of 4.5 (WCAG 2.2 AA) in both."""
    members.kill("mx2")
    assert site.cli("drain", "mail/mx3").returncode == 0
    await site.show(page)
    await page.shows(row("mx2", ".state"), "down")
    await page.run("""window.drawn = () => document.querySelector("#chart-shares canvas").toDataURL()""")
    grounds = set()
    for scheme in ("light", "dark"):
        await page.media(prefers_color_scheme=scheme)
        await page.wait("window.before !== drawn()")
        await page.run("window.before = drawn()")
        grounds.add(await page.run("getComputedStyle(document.body).backgroundColor"))
        found = await page.run(CONTRAST)
        assert len(found) > 60
        assert [text for ratio, text in found if ratio < 4.5] == []
    assert len(grounds) == 2


async def test_nothing_moves_where_that_is_not_wanted(page: Page, quiet: Site) -> None:
    """With prefers-reduced-motion no part of the page has a transition or an animation."""
    await quiet.show(page)
    moving = (
        "[...document.querySelectorAll('*')].map(one => getComputedStyle(one))"
        ".filter(style => style.transitionDuration !== '0s' || style.animationName !== 'none').length"
    )
    assert await page.run(moving) > 0
    await page.media(prefers_reduced_motion="reduce")
    assert await page.run(moving) == 0


async def test_charts_have_their_numbers_in_words(page: Page, quiet: Site) -> None:
    """Under each chart its newest values are text: rates by code, wanted and served shares, latencies."""
    await quiet.show(page)
    await page.shows("#chart-rates .u-legend", "NOERROR")
    await page.shows("#chart-shares .u-legend", "served")
    await page.wait("/mx1 *[0-9.]+ ms/.test(document.querySelector('#chart-latency .u-legend').textContent)")


async def test_the_filter_leaves_who_is_looked_for(page: Page, site: Site, members: Members) -> None:
    """By words in names, states and addresses; the count of a state in a pool's heading is a filter too."""
    members.kill("mx4")
    await site.show(page)
    await page.shows(row("mx4", ".state"), "down")
    shown = "[...document.querySelectorAll('[data-member]')].filter(one => !one.hidden).map(one => one.dataset.member)"
    await page.tab_to("#filter")
    await page.type(members.addresses["mx2"])
    assert await page.run(shown) == ["mail/mx2"]
    await page.shows("#filtered", "1 of 4 members")
    await page.tab_to(".chip.down")
    await page.press("Enter")
    assert await page.run(shown) == ["mail/mx4"]
    members.start("mx4")
    await page.shows("#filtered", "0 of 4 members")


async def test_its_words_are_those_of_the_status(page: Page, quiet: Site) -> None:
    """Each verdict has words and a sentence, and each state a sign of its own."""
    await quiet.show(page)
    words = await page.run("import('/page/words.js').then(({VERDICTS, SIGNS}) => [VERDICTS, SIGNS])")
    assert words[0].keys() == set(Verdict)
    assert all(short and sentence.endswith(".") for short, sentence in words[0].values())
    assert words[1].keys() == set(State)
    assert len(set(words[1].values())) == len(State)


async def test_a_patch_touches_what_it_names(page: Page, quiet: Site) -> None:
    """All else is the same object as before, by which the page sees what it need not draw again (RFC 6902)."""
    await quiet.show(page)
    told = await page.run("""import("/page/stream.js").then(({patched}) => {
        const before = {a: {b: {c: 1}, "d/~": null}, e: {f: 2}, g: [1]};
        const after = patched(before, [
            {op: "replace", path: "/a/b/c", value: null},
            {op: "add", path: "/a/b/n", value: 3},
            {op: "remove", path: "/a/d~1~0"},
        ]);
        return [before, after, before.e === after.e, before.g === after.g, before.a === after.a];
    })""")
    before = {"a": {"b": {"c": 1}, "d/~": None}, "e": {"f": 2}, "g": [1]}
    assert told == [before, {"a": {"b": {"c": None, "n": 3}}, "e": {"f": 2}, "g": [1]}, True, True, False]


async def test_messages_of_the_stream_come_in_any_pieces(page: Page, quiet: Site) -> None:
    """However the network cuts it, each message is read once and whole."""
    await quiet.show(page)
    told = await page.run("""import("/page/stream.js").then(({messages}) => {
        const text = 'event: a\\nid: 7\\ndata: {"x": "é: 1"}\\n\\n: \\n\\nevent: b\\ndata: 2\\n\\n';
        const read = (size) => {
            const [buffer, found] = [{text: ""}, []];
            for (let at = 0; at < text.length; at += size) found.push(...messages(buffer, text.slice(at, at + size)));
            return JSON.stringify(found);
        };
        return [...new Set(Array.from(text, (_, size) => read(size + 1)))];
    })""")
    assert [json.loads(one) for one in told] == [
        [{"event": "a", "id": "7", "data": '{"x": "é: 1"}'}, {"event": "b", "id": "", "data": "2"}]
    ]


async def test_each_alarm_has_its_banner(page: Page, quiet: Site) -> None:
    """What no test can have happen in a moment: held probes, a suspect question, a disk that fails, planned drains."""
    await quiet.show(page)
    status = quiet.status()
    pool = status["pools"]["mail"]
    pool |= {"panic": True, "suspect": "auth_failed", "panic_reason": "all members reject the probe's login"}
    pool["held_until"] = "2026-01-01T00:00:30Z"
    status["state_failing"] = "the disk is full"
    window: dict[str, object] = {
        "begin": "2026-01-01T01:00:00Z",
        "end": "2026-01-01T03:00:00Z",
        "state": "announced",
        "held": "",
    }
    window |= {"reason": "kernel", "who": "alice", "forced": False}
    pool["members"]["mx1"]["window"] = window
    pool["members"]["mx2"]["window"] = window | {"held": "1 of 4 members"}
    pool["members"]["mx3"]["window"] = window | {"state": "running"}
    told = await page.run(f"""import("/page/banners.js").then(({{showBanners}}) => {{
        showBanners({json.dumps(status)}, null, Date.parse("2026-01-01T00:00:00Z"));
        return [...document.querySelectorAll("#banners p")].map(one => one.textContent);
    }})""")
    wanted = (
        "The state store fails: the disk is full. Answers and probes go on",
        "PANIC in pool mail. Health is ignored: all members reject the probe's login.",
        "Probes of pool mail are held. Half of it or more fails at once",
        "mail/mx1 drains at ",
        "mail/mx2 should drain since ",
        "mail/mx3 is in its window until ",
    )
    assert [one for one, begin in zip(told, wanted, strict=True) if not one.startswith(begin)] == []
    assert told[3].endswith(" for 2h (alice: kernel), in 1h.")
    assert told[4].endswith(" and does not: it would leave 1 of 4 members.")


async def test_charts_remember_more_than_a_daemon_that_was_just_started(page: Page, quiet: Site) -> None:
    """What it tells of the past comes after what the page has seen; nothing is older than ten minutes."""
    await quiet.show(page)
    told = await page.run("""import("/page/history.js").then(({History}) => {
        const history = new History();
        const begin = (rates, latencies, now) => {
            history.begin({interval_s: 2, rcodes: {NOERROR: rates}, latency_ms: {"mail/mx1": latencies}}, now);
            return [history.times, history.rates.get("NOERROR"), history.latency.get("mail/mx1")];
        };
        return [begin([1, 2, 3], [9, 8], 100), begin([7], [], 106), begin(Array(300).fill(5), [6], 710)];
    })""")
    assert told[0] == [[96, 98, 100], [1, 2, 3], [None, 9, 8]]
    assert told[1] == [[96, 98, 100, 106], [1, 2, 3, 7], [None, 9, 8, None]]
    assert [len(values) for values in told[2]] == [300, 300, 300]
    assert (told[2][0][0], told[2][1][0], told[2][2][-1]) == (112, 5, 6)


async def test_a_page_that_comes_into_sight_again_knows_what_it_missed(page: Page, quiet: Site) -> None:
    """It asks for the stream anew, whose history fills the gaps that a sleeping page has; each event is there once."""
    await quiet.show(page)
    await page.shows("#event-list li", "mx4")
    events = await page.run("document.querySelectorAll('#event-list li').length")
    await page.run("""
        window.asked = [];
        const before = window.fetch;
        window.fetch = (...words) => (asked.push(words[0]), before(...words));
        document.dispatchEvent(new Event("visibilitychange"));
    """)
    assert await page.wait("asked") == ["api/v1/stream"]
    assert quiet.cli("probe", "mail/mx1").returncode == 0
    await page.shows("#event-list li:first-child", "probe")
    assert await page.run("document.querySelectorAll('#event-list li').length") == events + 1


class _Crowd:
    """A thousand members, all of which are one sink."""

    def __init__(self, stage: Stage) -> None:
        self.addresses = {f"mx{number}": f"127.1.{number // 250}.{number % 250 + 1}" for number in range(1000)}
        some = list(self.addresses.values())
        self.port = free_port(some[0], some[-1])
        sink = str(Path(__file__).with_name("sink.py"))
        stage.start("sink", [sys.executable, sink, ",".join(some), str(self.port), str(stage.path / "messages")])
        until(lambda: listens(some[-1], self.port), "the sink listens")


async def test_a_thousand_members_are_no_burden(page: Page, stage: Stage) -> None:
    """All are there; the filter finds one; and a change touches its row and those on the screen, not a thousand."""
    one = '[[service]]\nname = "every.lb.test"\ntype = "address"\npool = "mail"\nrecords = 2\n'
    site = Site(stage, _Crowd(stage), interval="60s", weights={"mx998": 0, "mx999": 0}, services=one)
    await site.show(page)
    assert await page.run("document.querySelectorAll('[data-member]').length") == 1000
    await page.shows(".pool-head", "998 of 1000 in answers")
    await page.run("""
        window.touched = new Set();
        new MutationObserver(changes => changes.forEach(({target}) => {
            const row = (target.closest ? target : target.parentElement).closest("[data-member]");
            if (row) touched.add(row.dataset.member);
        })).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
    """)
    assert site.cli("drain", "mail/mx999").returncode == 0
    await page.shows('[data-member="mail/mx999"] .admin', "drain")
    assert "mail/mx999" in await page.run("[...touched]")
    assert await page.run("touched.size") < 100
    await page.tab_to("#filter")
    await page.type("mx77")
    assert (await page.text("#filtered")).startswith("11 of 1000 members")


async def test_a_screen_reader_hears_what_each_thing_is(page: Page, quiet: Site) -> None:
    """Whatever can be used has a name, each pool is a table with titles, and pictures are not read out."""
    await quiet.show(page)
    nodes = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    found = [(node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"] and "name" in node]
    usable = {"button", "link", "textbox", "searchbox", "combobox", "radio", "spinbutton", "table", "region"}
    assert [role for role, name in found if role in usable and not name] == []
    assert ("table", "Members of mail") in found
    titles = [name for role, name in found if role == "columnheader"]
    assert titles[:3] == ["Member", "Admin", "State"]
    assert titles[9:11] == ["Addresses", "Why"]
    assert [name for role, name in found if role == "rowheader"][:4] == ["mx1", "mx2", "mx3", "mx4"]


def test_no_text_becomes_html() -> None:
    """Nothing of ours reads a text as HTML or as a program, or brings styles that the page's policy forbids."""
    ours = [file for file in FILES.iterdir() if file.suffix in {".js", ".html"} and file.name not in VENDORED]
    assert len(ours) > 10
    forbidden = re.compile(r"(?:inner|outer|Adjacent)HTML|document\.write|\beval\b|new Function|\bstyle=|\bon[a-z]+=\"")
    assert [(file.name, found) for file in ours for found in forbidden.findall(file.read_text())] == []


def test_vendored_files_are_what_they_were() -> None:
    """Nobody has changed what is not ours, and its licence is beside it."""
    assert {name: sha256((FILES / name).read_bytes()).hexdigest() for name in VENDORED} == VENDORED
    assert "MIT License" in (FILES / "uPlot.LICENSE.txt").read_text()
