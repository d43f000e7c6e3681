// Events as they come, the latest first.

import { byId, el } from "./dom.js";
import { brief, exact } from "./words.js";

const MOST = 200;

/** By id, time and text: one that could not be stored has the id 0, and a new state database begins at 1 again. */
const shown = new Map();

/** Show events, oldest first, in front of those there are. What came again after a lost connection is there once. */
export function addEvents(events, now) {
  const list = byId("event-list");
  for (const event of events) {
    const key = `${event.id} ${event.at} ${event.text}`;
    if (shown.has(key)) continue;
    const node = makeEvent(event, now);
    shown.set(key, node);
    list.prepend(node);
  }
  for (const [key, node] of shown) {
    if (shown.size <= MOST) break;
    node.remove();
    shown.delete(key);
  }
}

function makeEvent({ at, kind, pool, member, who, text }, now) {
  const about = [pool, member].filter(Boolean).join("/");
  const by = who && !text.includes(who) ? ` (by ${who})` : "";
  return el(
    "li",
    { class: "event", "data-kind": kind },
    el("time", { datetime: at, title: exact(at) }, brief(at, now)),
    el("span", { class: "kind" }, kind),
    el("span", { class: "about" }, about),
    el("span", { class: "text" }, `${text}${by}`),
  );
}
