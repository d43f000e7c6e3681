// What people do here: show a token, and change a member after a look at what would be left.

import { byId, el, setText } from "./dom.js";
import { authorization, problem } from "./stream.js";
import { percent, signed } from "./words.js";

const KEY = "dnslb-token";
const ROWS = 12; // members of a preview
const WISHES = {
  drain: (name) => `Drain ${name}`,
  ready: (name) => `Set ${name} to ready`,
  maint: (name) => `Put ${name} in maintenance`,
  weight: (name) => `Set the weight of ${name}`,
};
const PAUSE_MS = 150; // while somebody types a weight

export const token = () => sessionStorage.getItem(KEY) ?? "";

/** Ask the daemon; an Error has its own words for what it does not do. */
async function call(verb, args, shown = token()) {
  const response = await fetch(`api/v1/${verb}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...authorization(shown) },
    body: JSON.stringify(args),
    cache: "no-store",
  });
  if (!response.ok) throw new Error(await problem(response));
  return response.json();
}

/**
 * Have a dialog close by its buttons (Escape does so by itself), send itself once, and show what goes wrong. Returns a
 * function that opens it, with an error's text if there is one already.
 */
function prepare(dialog, send) {
  const error = dialog.querySelector(".error");
  let sending = null;
  dialog.querySelector("[data-close]").onclick = () => dialog.close();
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    if (sending) return;
    const mine = (sending = Symbol("a sending"));
    // What was sent goes on if the dialog is closed, and is none of the business of the next one.
    const end = (finish) => mine === sending && finish();
    setText(error, "");
    try {
      await send();
      end(() => dialog.close());
    } catch (failure) {
      end(() => setText(error, failure.message));
    }
    end(() => (sending = null));
  };
  return (text = "") => {
    sending = null;
    setText(error, text);
    dialog.showModal();
  };
}

/** The token: entered by "Unlock", kept for this tab, gone by "Forget token". `changed` is called after each. */
export class Lock {
  #open;
  #changed;

  constructor(changed) {
    this.#changed = changed;
    this.#open = prepare(byId("unlock-dialog"), () => this.#try());
    byId("unlock").onclick = () => (token() ? this.#set("") : this.ask());
    this.#show();
  }

  /** Ask for a token, saying why. */
  ask(why) {
    byId("token").value = "";
    if (!byId("unlock-dialog").open) this.#open(why);
  }

  async #try() {
    const shown = byId("token").value.trim();
    await call("version", {}, shown);
    this.#set(shown);
  }

  #set(shown) {
    if (shown) sessionStorage.setItem(KEY, shown);
    else sessionStorage.removeItem(KEY);
    byId("token").value = "";
    this.#show();
    this.#changed();
  }

  #show() {
    document.body.classList.toggle("unlocked", Boolean(token()));
    setText(byId("unlock"), token() ? "Forget token" : "Unlock");
  }
}

/** The dialog that changes a member. `tell(text)` shows what was done. */
export class Change {
  #dialog = byId("change-dialog");
  #form = this.#dialog.querySelector("form");
  #weight = byId("weight");
  #tell;
  #open;
  #timer = 0;
  #asked = 0;
  #pool = "";
  #member = "";

  constructor(tell) {
    this.#tell = tell;
    this.#open = prepare(this.#dialog, () => this.#send());
    this.#form.addEventListener("change", () => this.#choose());
    this.#weight.addEventListener("input", () => {
      this.#form.elements.step.value = "weight";
      this.#choose();
    });
  }

  open(pool, member, facts) {
    [this.#pool, this.#member] = [pool, member];
    setText(byId("change-title"), `${pool}/${member}`);
    const who = signed(facts);
    setText(
      byId("change-now"),
      `Now: ${facts.admin}${who ? ` (${who})` : ""}, ${facts.state}, weight ${facts.effective_weight}, ` +
        `${percent(facts.share)} of new connections`,
    );
    setText(byId("weight-configured"), `${facts.weight}`);
    this.#asked++;
    byId("preview").replaceChildren();
    this.#form.reset();
    this.#form.elements.step.value = facts.admin === "ready" ? "drain" : "ready";
    this.#open();
    this.#form.querySelector("input:checked").focus();
    this.#choose();
  }

  get #step() {
    return this.#form.elements.step.value;
  }

  get #number() {
    return this.#weight.value === "" ? null : Number(this.#weight.value);
  }

  #choose() {
    setText(this.#form.querySelector("button.main"), WISHES[this.#step](`${this.#pool}/${this.#member}`));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#preview(), PAUSE_MS);
  }

  /** Show what would be left. An answer that a later question has overtaken is dropped. */
  async #preview() {
    const asked = ++this.#asked;
    const change = { step: this.#step, pool: this.#pool, member: this.#member };
    if (change.step === "weight") change.weight = this.#number;
    let found;
    try {
      const plan = await call("plan", { changes: [change] });
      found = previewed(this.#pool, plan);
    } catch (error) {
      found = [el("p", { class: "error" }, error.message)];
    }
    if (asked === this.#asked) byId("preview").replaceChildren(...found);
  }

  async #send() {
    const [step, reason] = [this.#step, byId("reason").value.trim()];
    const about = { pool: this.#pool, member: this.#member, reason };
    const done =
      step === "weight"
        ? await call("weight", { ...about, weight: this.#number })
        : await call("admin", { ...about, state: step });
    const what = step === "weight" ? `weighs ${done.effective_weight} now` : `is set to ${step}`;
    const where = done.published ? "it is in the answers" : "it is in no new answer";
    this.#tell([`${this.#pool}/${this.#member} ${what}: ${where}.`, ...(done.warnings ?? [])].join(" "));
  }
}

/** Return elements that show what a plan does to its pool: panic, and the shares that change. */
function previewed(pool, { before, after, panics }) {
  const [now, then] = [before[pool], after[pool]];
  const parts = [];
  if (panics.includes(pool)) {
    parts.push(
      el("p", { class: "banner bad" }, el("b", {}, `This would PANIC pool ${pool}.`), " Health would be ignored."),
    );
  }
  const changed = Object.entries(then.members).filter(
    ([name, member]) => member.share !== now.members[name].share || member.published !== now.members[name].published,
  );
  if (!changed.length) return [...parts, el("p", { class: "muted" }, "No share would change.")];
  const rows = changed.slice(0, ROWS).map(([name, member]) => {
    return el("tr", {}, el("th", { scope: "row" }, name), share(now.members[name]), share(member));
  });
  const titles = ["Member", "Now", "After"].map((title) => el("th", { scope: "col" }, title));
  parts.push(el("table", {}, el("thead", {}, el("tr", {}, ...titles)), el("tbody", {}, ...rows)));
  const more = changed.length - rows.length;
  parts.push(el("p", { class: "muted" }, `${more > 0 ? `And ${more} more. ` : ""}${healthy(then)} ${lasting(now)}`));
  return parts;
}

const healthy = (facts) => `Healthy would be ${facts.healthy_weight} of weight ${facts.total_weight}.`;

function lasting({ services }) {
  const longest = Math.max(0, ...Object.values(services).map((service) => service.ttl_max));
  return longest ? `Resolvers go on with the answers of now for up to ${longest} s.` : "";
}

function share(member) {
  const fill = el("i", { class: "fill" });
  fill.style.width = `${100 * member.share}%`;
  return el(
    "td",
    {},
    member.published ? percent(member.share) : "out",
    el("span", { class: "bar", "aria-hidden": "true" }, fill),
  );
}
