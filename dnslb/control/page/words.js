// Facts as text for people. Pure: the time of day is an argument, in milliseconds of Unix time.

/** Short words for the verdicts of the status, and a sentence that says what each means. */
export const VERDICTS = {
  ok: ["works", "It greets, and takes mail as far as the probe asks."],
  slow: ["slow", "It works, much slower than it could."],
  busy: ["busy", "It says that it has too much to do now."],
  storage: ["disk full", "It says that it has no room for mail."],
  draining: ["shutting down", "It says that it is about to close."],
  refused: ["refuses connections", "Nobody listens on its port."],
  timeout: ["no answer", "It said nothing in time."],
  closed: ["hangs up", "It closed the connection where it should have answered."],
  not_smtp: ["no SMTP", "What it says is not SMTP."],
  rejecting: ["rejects mail", "It says that it takes no mail."],
  rejects_domain: ["rejects our domain", "It rejects the recipient that the probe asks for."],
  tls_broken: ["TLS fails", "No encrypted connection can be made."],
  tls_invalid: ["certificate invalid", "Its certificate is not what senders must find."],
  auth_failed: ["login fails", "It rejects the probe's login."],
  probe_limited: ["limits the probe", "It lives, and turns the probe away for coming too often."],
  probe_blocked: ["blocks the probe", "It lives, and turns the probe away by name or address."],
  unknown: ["not probed yet", "No probe has ended yet."],
};

/** A sign for each state, so that colour is not all that tells them apart. */
export const SIGNS = { up: "●", degraded: "◐", busy: "◔", draining: "▽", down: "✕", unknown: "○" };

export const verdictWords = (verdict) => VERDICTS[verdict]?.[0] ?? verdict.replaceAll("_", " ");
export const verdictMeaning = (verdict) => VERDICTS[verdict]?.[1] ?? "";

/** How long something has lasted, in its two largest units: 12s, 9m59s, 5h, 2d3h; the rest is left out. */
export function duration(seconds) {
  let left = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [unit, size] of [
    ["d", 86400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ]) {
    const count = Math.floor(left / size);
    left %= size;
    if (count || parts.length) parts.push(count ? `${count}${unit}` : "");
  }
  return parts.slice(0, 2).join("") || "0s";
}

/** How long something will last, like `duration` but rounded up: nobody should act too early. */
function remaining(seconds) {
  const step = seconds >= 86400 ? 3600 : seconds >= 3600 ? 60 : 1;
  return duration(Math.ceil(seconds / step) * step);
}

export const age = (moment, now) => (moment === null ? "never" : `${duration((now - Date.parse(moment)) / 1000)} ago`);

/** Date and time of this browser's zone, to the second. */
export function exact(moment) {
  if (moment === null) return "never";
  const at = new Date(moment);
  return `${calendar(at)} ${clock(at)}`;
}

/** The time, with the date where that is not today's. */
export function brief(moment, now) {
  const at = new Date(moment);
  return calendar(at) === calendar(new Date(now)) ? clock(at) : `${calendar(at)} ${clock(at)}`;
}

const two = (number) => String(number).padStart(2, "0");
const calendar = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
export const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

/** A share as a percentage; what is not nothing is never 0 %. */
export function percent(fraction) {
  const number = 100 * fraction;
  if (number > 0 && number < 0.1) return "<0.1 %";
  return `${number < 9.95 && number % 1 ? number.toFixed(1) : Math.round(number)} %`;
}

export const rate = (number) =>
  number >= 100 || Number.isInteger(number) ? Math.round(number).toLocaleString("en") : number.toFixed(1);

export function milliseconds(number) {
  if (number === null) return "–";
  if (number >= 10000) return `${Math.round(number / 1000)} s`;
  return `${number < 10 ? number.toFixed(1) : Math.round(number)} ms`;
}

/** Why a member is published or not, and what its last probe had to say; "" where its state says it all. */
export function cause(member) {
  const rule = member.rule.replace(/^not /, "").replace(/^published: /, "");
  return [rule === member.state ? "" : rule, member.reason].filter(Boolean).join("; ");
}

/** When a member that people have taken out may be stopped. */
export function farewell(drain, now) {
  if (drain.safe_to_stop) return "safe to stop: no cache and no client has it any more";
  if (drain.clients_expire === null) return "not safe to stop: it is still in answers";
  const [caches, clients] = [drain.caches_expire, drain.clients_expire].map(
    (until) => (Date.parse(until) - now) / 1000,
  );
  const caching = caches > 0 ? `caches have it for ${remaining(caches)} more` : "no cache has it any more";
  return `not safe to stop: ${caching}, clients may use it for ${clients > 0 ? remaining(clients) : "a moment"} more`;
}

/** What a planned drain does to its member, as a predicate. */
export function planned(window, now) {
  const signed = [window.who, window.reason].filter(Boolean).join(": ");
  const by = signed ? ` (${signed}${window.forced ? ", forced" : ""})` : "";
  if (window.state === "running") {
    return `is in its window until ${window.end === null ? "it is set to ready" : brief(window.end, now)}${by}`;
  }
  const length =
    window.end === null ? "" : ` for ${duration((Date.parse(window.end) - Date.parse(window.begin)) / 1000)}`;
  const span = `${brief(window.begin, now)}${length}${by}`;
  if (window.held) return `should drain since ${span}, and does not: it would leave ${window.held}`;
  const wait = (Date.parse(window.begin) - now) / 1000;
  return `drains at ${span}${wait > 0 ? `, in ${remaining(wait)}` : ""}`;
}

/** Who took a member out, and why. */
export const signed = (member) => [member.admin_who, member.admin_reason].filter(Boolean).join(": ");

/** A service's name by its key in the status, "NAME", "NAME TYPE" or "NAME TYPE VIEW". */
export const serviceName = (key) => key.split(" ", 1)[0];

/** What each member of a pool should get by its weight: the fractions of those that get anything now. */
export function wantedShares(members) {
  const all = Object.entries(members).filter(([, member]) => member.share > 0);
  const sum = all.reduce((total, [, member]) => total + member.effective_weight, 0);
  return new Map(all.map(([name, member]) => [name, sum ? member.effective_weight / sum : member.share]));
}
