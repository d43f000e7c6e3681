// What must not be overlooked: panics, faults, members that people have taken out, planned drains.

import { byId, el, keep, setAttribute, setText } from "./dom.js";
import { brief, farewell, planned, signed } from "./words.js";

const MOST = 8; // lines about members; more would push the pools off the screen

const shown = new Map();
const announced = new Set();

/** Show the banners of a status; `lost` says since when (ms) there is no word from the daemon and why, or is null. */
export function showBanners(status, lost, now) {
  const found = [...banners(status, lost, now)];
  keep(
    byId("banners"),
    shown,
    found.map((banner) => [banner.key, banner]),
    () => ({ node: el("p", { class: "banner" }, el("b", {}), el("span", {})) }),
    ({ node }, { grade, head, text }) => {
      setAttribute(node, "class", `banner ${grade}`);
      setText(node.firstChild, head);
      setText(node.lastChild, ` ${text}`);
    },
  );
  announce(found);
  const alarms = found.filter(({ grade }) => grade === "bad").length;
  document.title = alarms ? `(${alarms}) ${found.find(({ grade }) => grade === "bad").head} – dnslb` : "dnslb";
}

/** Say aloud what is new. The banners themselves would be read again each second, as their countdowns pass. */
function announce(found) {
  const fresh = found.filter(({ key }) => !announced.has(key));
  announced.clear();
  for (const { key } of found) announced.add(key);
  if (fresh.length) setText(byId("announcer"), fresh.map(({ head, text }) => `${head} ${text}`).join(" "));
}

function* banners(status, lost, now) {
  if (lost) yield lostBanner(lost, now);
  if (!status) return;
  if (status.state_failing) {
    yield {
      key: "state",
      grade: "bad",
      head: "The state store fails:",
      text: `${status.state_failing}. Answers and probes go on; changes are refused until it can be written again.`,
    };
  }
  for (const [name, pool] of Object.entries(status.pools)) yield* poolBanners(name, pool, now);
  yield* memberBanners(status, now);
}

function lostBanner({ since, why, denied }, now) {
  if (denied)
    return { key: "denied", grade: "bad", head: "Nothing to see without a token.", text: `The daemon says: ${why}.` };
  const data = since ? `Data of ${brief(since, now)}, trying again` : "Trying again";
  return { key: "lost", grade: "bad", head: "No connection to the daemon.", text: `${data}: ${why}.` };
}

function* poolBanners(name, pool, now) {
  if (pool.panic) yield { key: `panic ${name}`, grade: "bad", head: `PANIC in pool ${name}.`, text: panicWords(pool) };
  if (pool.held_until) {
    yield {
      key: `held ${name}`,
      grade: "bad",
      head: `Probes of pool ${name} are held.`,
      text:
        "Half of it or more fails at once, which may be the fault of this prober: " +
        `who is still in its answers stays in them until ${brief(pool.held_until, now)}.`,
    };
  }
}

function panicWords(pool) {
  if (pool.suspect) {
    return `Health is ignored: ${pool.panic_reason}. All members stay in the answers.`;
  }
  const healthy = `Only ${pool.healthy_weight} of its weight of ${pool.total_weight} is healthy.`;
  const rest = Object.values(pool.members).some((member) => member.published)
    ? "Health is ignored, and mail goes to members that may not work."
    : "Queries get SERVFAIL.";
  return `${healthy} ${rest}`;
}

function* memberBanners(status, now) {
  const found = [];
  for (const [pool, { members }] of Object.entries(status.pools)) {
    for (const [name, member] of Object.entries(members)) found.push(...aboutMember(`${pool}/${name}`, member, now));
  }
  yield* found.slice(0, MOST);
  if (found.length <= MOST) return;
  yield {
    key: "more",
    grade: "warn",
    head: `${found.length - MOST} more`,
    text: "members are taken out or planned to be: filter for drain or maint.",
  };
}

function* aboutMember(key, member, now) {
  if (member.drain) {
    const who = signed(member);
    const since = member.drain.since === null ? "" : `since ${brief(member.drain.since, now)}`;
    yield {
      key: `${member.admin} ${key}`,
      grade: member.drain.safe_to_stop ? "good" : "warn",
      head: `${key} ${member.admin === "maint" ? "is in maintenance" : "drains"}`,
      text: `${since}${who ? ` (${who})` : ""}: ${farewell(member.drain, now)}.`,
    };
  }
  if (member.window)
    yield {
      key: `window ${key}`,
      grade: member.window.held ? "bad" : "warn",
      head: key,
      text: `${planned(member.window, now)}.`,
    };
}
