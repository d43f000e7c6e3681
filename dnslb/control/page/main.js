// The page: what the stream tells goes to the parts that show it.

import { Change, Lock, token } from "./actions.js";
import { showBanners } from "./banners.js";
import { Charts } from "./charts.js";
import { byId, setAttribute, setText } from "./dom.js";
import { addEvents } from "./events.js";
import { History } from "./history.js";
import { Pools } from "./pools.js";
import { factsOf, showServices, showWorkers } from "./services.js";
import { Stream, patched } from "./stream.js";
import { clock } from "./words.js";

const TICK_MS = 1_000;

let status = null;
/** Since when there is no word from the daemon, and why. */
let lost = null;
/** When it was last heard of (ms), and how far its clock is before this browser's (ms). */
let [heard, skew] = [0, 0];

const history = new History();
const now = () => Date.now() + skew;
const change = new Change(tell);
const pools = new Pools((pool, member) => change.open(pool, member, status.pools[pool].members[member]));
const charts = new Charts();
const stream = new Stream(token, hear, link);
const lock = new Lock(() => stream.restart());

/** What each kind of message of the stream does. */
const HEARD = {
  status(found) {
    status = found;
    show();
  },
  patch(found) {
    status = patched(status, found);
    show();
  },
  event: (found) => addEvents([found], now()),
  history(found) {
    skew = Date.parse(found.now) - Date.now();
    history.begin(found, now() / 1000);
    if (status) charts.update(status, history);
    tick();
  },
};

function hear(event, data) {
  heard = Date.now();
  HEARD[event]?.(data);
}

function link(state, why) {
  lost = state === "live" ? null : { since: lost?.since ?? (heard && heard + skew), why, denied: state === "denied" };
  const words = { live: "live", lost: "trying again", denied: "locked" };
  setText(byId("link"), words[state]);
  setAttribute(byId("link"), "class", `link ${state}`);
  if (state === "denied") lock.ask(why);
  showBanners(status, lost, now());
}

/** Show what has changed. */
function show() {
  showBanners(status, lost, now());
  pools.update(status.pools);
  showServices(status.services);
  showWorkers(status);
  setText(byId("facts"), factsOf(status, history.rates));
}

/** Let time pass: countdowns and ages each second, a new sample for the charts at its interval. */
function tick() {
  showBanners(status, lost, now());
  if (!status) return;
  const seconds = now() / 1000;
  if (seconds - (history.times.at(-1) ?? 0) >= history.interval - TICK_MS / 2000) {
    history.sample(lost ? null : status, seconds);
    charts.update(status, history);
  }
  pools.tick(history, now());
}

/** Say what was done, and when. */
function tell(text) {
  const notice = byId("notice");
  notice.hidden = false;
  setText(notice, `${clock(new Date())} ${text}`);
}

byId("filter").addEventListener("input", (event) => pools.filter(event.target.value));
byId("chart-pool").addEventListener("change", () => charts.update(status, history));
// Browsers let time pass slowly in a page that nobody sees: the daemon knows what it has missed.
document.addEventListener("visibilitychange", () => document.hidden || stream.restart());
setInterval(tick, TICK_MS);
stream.restart();
