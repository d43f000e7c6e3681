// The pools, each with a row for each member. A row is touched only when its member has changed, or time has passed.

import { byId, el, keep, setAttribute, setText } from "./dom.js";
import {
  SIGNS, age, cause, exact, farewell, milliseconds, percent, planned, signed, verdictMeaning, verdictWords, wantedShares,
} from "./words.js";

const COLUMNS = ["Member", "Admin", "State", "Verdict", "In answers", "Weight", "Share", "Latency, last 10 min", "Since", "Addresses"];
const STATES = ["up", "degraded", "busy", "draining", "down", "unknown"];
const [SPARK_WIDTH, SPARK_HEIGHT] = [96, 22];

/** Shows the pools of a status. `change(pool, member)` is called when somebody wants to change a member. */
export class Pools {
  #pools = new Map();
  #words = [];
  #change;
  /** Rows on the screen: only these follow the clock. */
  #seen = new Set();
  #rows = new WeakMap();
  #watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#seen.add(this.#rows.get(target));
      else this.#seen.delete(this.#rows.get(target));
    }
    this.#onSeen();
  });
  #onSeen = () => {};

  constructor(change) {
    this.#change = change;
  }

  update(pools) {
    keep(
      byId("pool-list"), this.#pools, Object.entries(pools),
      (name) => this.#make(name),
      (shown, pool) => {
        if (shown.pool !== pool) this.#fill(shown, pool);
      },
    );
    this.#count();
  }

  /** Show only the members that have all these words in their names, states or addresses. */
  filter(text) {
    this.#words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const shown of this.#pools.values()) this.#hide(shown, shown.rows.values());
    this.#count();
  }

  /** Let time pass in the rows that are on the screen. */
  tick(history, now) {
    this.#onSeen = () => {
      for (const row of this.#seen) row?.tick(history, now);
    };
    this.#onSeen();
  }

  #make(name) {
    const heading = el("h3", {}, name);
    const [facts, states, note] = [el("p", { class: "muted" }), el("p", { class: "states" }), el("p", { class: "muted note" })];
    const body = el("div", { role: "rowgroup" });
    const titles = COLUMNS.map((title) => el("span", { role: "columnheader" }, title));
    titles.push(unseenTitle("act", "Change"), unseenTitle("why", "Why"));
    const head = el("div", { role: "rowgroup", class: "head" }, el("div", { role: "row", class: "row" }, ...titles));
    const table = el("div", { role: "table", "aria-label": `Members of ${name}`, class: "members" }, head, body);
    const none = el("p", { class: "muted", hidden: true }, "No member of this pool has these words.");
    const node = el("article", { class: "pool" }, el("div", { class: "pool-head" }, heading, facts, states), table, none, note);
    return { node, name, facts, states, note, table, body, none, rows: new Map(), chips: new Map(), pool: null };
  }

  #fill(shown, pool) {
    const members = Object.values(pool.members);
    const [published, wanted] = [members.filter((member) => member.published).length, wantedShares(pool.members)];
    setText(
      shown.facts,
      `${pool.policy} · ${published} of ${members.length} in answers · ` +
        `${pool.healthy_weight} of weight ${pool.total_weight} healthy`,
    );
    shown.node.classList.toggle("panic", pool.panic);
    setText(shown.note, sharesNote(pool, members[0]));
    this.#states(shown, members);
    const changed = [];
    keep(
      shown.body, shown.rows, Object.entries(pool.members),
      (name) => this.#row(shown.name, name),
      (row, member, name) => {
        if (row.update(member, wanted.get(name) ?? 0)) changed.push(row);
      },
    );
    shown.pool = pool;
    this.#hide(shown, changed);
  }

  #row(pool, name) {
    const row = new Row(pool, name, () => this.#change(pool, name));
    this.#rows.set(row.node, row);
    this.#watch.observe(row.node);
    return row;
  }

  /** How many are in each state: a click looks at those. */
  #states(shown, members) {
    const counts = STATES.map((state) => [state, members.filter((member) => member.state === state).length]);
    keep(
      shown.states, shown.chips, counts.filter(([, count]) => count),
      (state) => ({ node: el("button", { type: "button", class: `chip ${state}`, title: `Show only those that are ${state}` }) }),
      (chip, count, state) => {
        setText(chip.node, `${SIGNS[state]} ${count} ${state}`);
        chip.node.onclick = () => {
          byId("filter").value = `${shown.name} ${state}`;
          this.filter(byId("filter").value);
        };
      },
    );
  }

  #hide(shown, rows) {
    for (const row of rows) row.node.hidden = !this.#words.every((word) => row.text.includes(word));
  }

  #count() {
    let [all, left] = [0, 0];
    for (const { table, none, rows } of this.#pools.values()) {
      const visible = [...rows.values()].filter((row) => !row.node.hidden).length;
      [all, left] = [all + rows.size, left + visible];
      [table.hidden, none.hidden] = [!visible, Boolean(visible)];
    }
    setText(byId("filtered"), this.#words.length ? `${left} of ${all} members have these words.` : "");
  }
}

const unseenTitle = (name, title) =>
  el("span", { role: "columnheader", class: name }, el("span", { class: "unseen" }, title));

/** What the shares of a pool are parts of. */
function sharesNote(pool, member) {
  if (!member?.share_of) return "";
  return pool.policy === "source-hash"
    ? `Shares are of the networks that ask for ${member.share_of}, not of the mail that each of them brings.`
    : `Shares are of the new connections through ${member.share_of}. The line in a bar is what the weight asks for.`;
}

class Row {
  member = null;
  /** What the filter looks at. */
  text = "";
  #wanted = 0;
  #key;
  #drawn = null;
  #now = Date.now();

  constructor(pool, name, change) {
    this.#key = `${pool}/${name}`;
    this.pool = pool;
    this.name = name;
    const cell = (column, ...children) => el("span", { role: "cell", class: column }, ...children);
    this.tags = el("span", { class: "muted" });
    this.admin = cell("admin");
    this.state = el("span", {});
    [this.verdict, this.published] = [cell("verdict"), cell("published")];
    [this.cause, this.notes] = [el("span", {}), el("span", { class: "notes" })];
    this.why = cell("why", this.cause, " ", this.notes);
    this.weight = cell("weight");
    [this.fill, this.mark, this.share] = [el("i", { class: "fill" }), el("i", { class: "mark" }), el("span", { class: "number" })];
    this.latency = el("span", { class: "number" });
    this.line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    this.since = cell("since");
    this.addresses = cell("addresses");
    this.button = el("button", { type: "button", "aria-label": `Change ${this.#key}` }, "Change");
    this.button.onclick = change;
    this.node = el(
      "div", { role: "row", class: "row", "data-member": this.#key },
      el("span", { role: "rowheader", class: "name" }, el("b", {}, name), " ", this.tags),
      this.admin,
      cell("state", this.state),
      this.verdict,
      this.published,
      this.weight,
      cell("share", el("span", { class: "bar", "aria-hidden": "true" }, this.fill, this.mark), this.share),
      cell("latency", this.latency, sparkline(this.line)),
      this.since,
      this.addresses,
      cell("act", this.button),
      this.why,
    );
  }

  /** Show a member and the share that its weight asks for; return whether that is new. */
  update(member, wanted) {
    if (member === this.member && wanted === this.#wanted) return false;
    [this.member, this.#wanted] = [member, wanted];
    const tags = [member.tier === 1 ? "" : `tier ${member.tier}`, member.group];
    setText(this.tags, tags.filter(Boolean).join(", "));
    setText(this.admin, member.admin);
    setAttribute(this.admin, "class", `admin ${member.admin}`);
    setAttribute(this.admin, "title", signed(member) || "nobody has taken it out");
    setText(this.state, `${SIGNS[member.state] ?? "○"} ${member.state}`);
    setAttribute(this.state, "class", `badge ${member.state}`);
    setText(this.verdict, verdictWords(member.verdict));
    setAttribute(this.verdict, "title", verdictMeaning(member.verdict));
    setText(this.published, member.published ? "in answers" : "out");
    this.published.classList.toggle("out", !member.published);
    setText(this.cause, cause(member));
    setText(this.weight, weightWords(member));
    setAttribute(this.weight, "title", `${member.effective_weight} counts now, ${member.weight} is configured`);
    this.#bar(member);
    setText(this.latency, milliseconds(member.latency_ms));
    setText(this.addresses, member.addresses.join(" "));
    const searched = [this.#key, member.admin, member.state, verdictWords(member.verdict), member.group, ...member.addresses];
    this.text = searched.join(" ").toLowerCase();
    this.#drawn = null;
    this.#clock(this.#now);
    return true;
  }

  #bar(member) {
    this.fill.style.width = `${100 * member.share}%`;
    this.mark.style.left = `${100 * this.#wanted}%`;
    this.mark.hidden = !this.#wanted;
    setText(this.share, percent(member.share));
    const title = `${percent(member.share)} of the new connections` + (this.#wanted ? `; its weight asks for ${percent(this.#wanted)}` : "");
    setAttribute(this.share, "title", title);
  }

  tick(history, now) {
    this.#now = now;
    this.#clock(now);
    const last = history.times.at(-1);
    if (this.#drawn === last) return;
    this.#drawn = last;
    setAttribute(this.line, "d", path(history.latency.get(this.#key) ?? []));
  }

  #clock(now) {
    const { member } = this;
    setText(this.since, age(member.since, now));
    const probed = member.last_probe === null ? "not probed yet" : `last probe ended at ${exact(member.last_probe)}`;
    setAttribute(this.since, "title", `${member.state} since ${exact(member.since)}; ${probed}`);
    setText(this.notes, notes(member, now).join(". "));
    this.why.hidden = !this.cause.textContent && !this.notes.textContent;
  }
}

function weightWords({ weight, admin_weight, effective_weight }) {
  const full = admin_weight ?? weight;
  return `${effective_weight === full ? "" : `${effective_weight} of `}${full}${admin_weight === null ? "" : " (set)"}`;
}

function notes(member, now) {
  const said = [];
  if (member.window) said.push(`it ${planned(member.window, now)}`);
  if (member.drain) said.push(farewell(member.drain, now));
  return [...said, ...(member.warnings ?? []).map((text) => `warning: ${text}`)];
}

function sparkline(line) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ class: "spark", viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, "aria-hidden": "true" })) {
    svg.setAttribute(name, value);
  }
  svg.append(line);
  return svg;
}

/** A line through the values, from nothing to the largest, with gaps where there are none. */
function path(values) {
  const largest = Math.max(0, ...values.filter((value) => value !== null)) || 1;
  const step = SPARK_WIDTH / Math.max(1, values.length - 1);
  let [drawn, pen] = ["", "M"];
  values.forEach((value, place) => {
    if (value === null) {
      pen = "M";
      return;
    }
    drawn += `${pen}${(place * step).toFixed(1)} ${(SPARK_HEIGHT - 1 - (value / largest) * (SPARK_HEIGHT - 3)).toFixed(1)}`;
    pen = "L";
  });
  return drawn;
}
