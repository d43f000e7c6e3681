// The pools, each with a row for each member, of which the filter shows some.

import { byId, el, keep, setText } from "./dom.js";
import { Row } from "./row.js";
import { SIGNS, wantedShares } from "./words.js";

const COLUMNS = [
  "Member",
  "Admin",
  "State",
  "Verdict",
  "In answers",
  "Weight",
  "Share",
  "Latency, last 10 min",
  "Since",
  "Addresses",
];

/** Shows the pools of a status. `change(pool, member)` is called when somebody wants to change a member. */
export class Pools {
  #pools = new Map();
  #words = [];
  #change;
  /** Rows on the screen: only these follow the clock. */
  #seen = new Set();
  #rows = new WeakMap();
  #watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) this.#see(this.#rows.get(target), isIntersecting);
  });
  /** The history and the time of the last tick. */
  #last = null;

  constructor(change) {
    this.#change = change;
  }

  update(pools) {
    keep(
      byId("pool-list"),
      this.#pools,
      Object.entries(pools),
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
    this.#last = [history, now];
    for (const row of this.#seen) row.tick(history, now);
  }

  #see(row, isSeen) {
    if (!isSeen) this.#seen.delete(row);
    else if (this.#seen.add(row) && this.#last) row.tick(...this.#last);
  }

  #make(name) {
    const heading = el("h3", {}, name);
    const [facts, states, note] = [
      el("p", { class: "muted" }),
      el("p", { class: "states" }),
      el("p", { class: "muted note" }),
    ];
    const body = el("div", { role: "rowgroup" });
    const titles = COLUMNS.map((title) => el("span", { role: "columnheader" }, title));
    titles.push(unseenTitle("act", "Change"), unseenTitle("why", "Why"));
    const head = el("div", { role: "rowgroup", class: "head" }, el("div", { role: "row", class: "row" }, ...titles));
    const table = el("div", { role: "table", "aria-label": `Members of ${name}`, class: "members" }, head, body);
    const none = el("p", { class: "muted", hidden: true }, "No member of this pool has these words.");
    const node = el(
      "article",
      { class: "pool" },
      el("div", { class: "pool-head" }, heading, facts, states),
      table,
      none,
      note,
    );
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
      shown.body,
      shown.rows,
      Object.entries(pool.members),
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
    const counts = Object.keys(SIGNS).map((state) => [
      state,
      members.filter((member) => member.state === state).length,
    ]);
    keep(
      shown.states,
      shown.chips,
      counts.filter(([, count]) => count),
      (state) => ({
        node: el("button", { type: "button", class: `chip ${state}`, title: `Show only those that are ${state}` }),
      }),
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
