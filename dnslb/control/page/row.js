// One member's row. It is touched only when the member has changed, or, on the screen, when time has passed.

import { el, setAttribute, setText } from "./dom.js";
import {
  SIGNS,
  age,
  cause,
  exact,
  farewell,
  milliseconds,
  percent,
  planned,
  signed,
  verdictMeaning,
  verdictWords,
} from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const [SPARK_WIDTH, SPARK_HEIGHT] = [96, 22];

/** A row whose `node` shows a member; `change` is called by its button. */
export class Row {
  member = null;
  /** What the filter looks at. */
  text = "";
  #wanted = 0;
  #key;
  #drawn = null;
  #now = Date.now();

  constructor(pool, name, change) {
    this.#key = `${pool}/${name}`;
    const cell = (column, ...children) => el("span", { role: "cell", class: column }, ...children);
    this.tags = el("span", { class: "muted" });
    this.admin = cell("admin");
    this.state = el("span", {});
    [this.verdict, this.published] = [cell("verdict"), cell("published")];
    [this.cause, this.notes] = [el("span", {}), el("span", { class: "notes" })];
    this.why = cell("why", this.cause, " ", this.notes);
    this.weight = cell("weight");
    [this.fill, this.mark, this.share] = [
      el("i", { class: "fill" }),
      el("i", { class: "mark" }),
      el("span", { class: "number" }),
    ];
    this.latency = el("span", { class: "number" });
    this.line = document.createElementNS(SVG, "path");
    this.since = cell("since");
    this.addresses = cell("addresses");
    this.button = el("button", { type: "button", "aria-label": `Change ${this.#key}` }, "Change");
    this.button.onclick = change;
    this.node = el(
      "div",
      { role: "row", class: "row", "data-member": this.#key },
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
    const searched = [
      this.#key,
      member.admin,
      member.state,
      verdictWords(member.verdict),
      member.group,
      ...member.addresses,
    ];
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
    const title =
      `${percent(member.share)} of the new connections` +
      (this.#wanted ? `; its weight asks for ${percent(this.#wanted)}` : "");
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
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({
    class: "spark",
    viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`,
    "aria-hidden": "true",
  })) {
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
    const height = (value / largest) * (SPARK_HEIGHT - 3);
    drawn += `${pen}${(place * step).toFixed(1)} ${(SPARK_HEIGHT - 1 - height).toFixed(1)}`;
    pen = "L";
  });
  return drawn;
}
