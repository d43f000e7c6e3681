// The services with what they answer now, and the workers that answer.

import { byId, el, keep, setAttribute, setText } from "./dom.js";
import { duration, percent, rate, serviceName } from "./words.js";

const MOST = 12; // members of an answer that are named

const services = new Map();
const workers = new Map();

export function showServices(found) {
  const list = byId("service-list");
  keep(
    list,
    services,
    Object.entries(found),
    (key) => makeService(key),
    (shown, service) => {
      if (shown.service !== service) fillService(shown, service);
    },
  );
  if (!services.size) setText(list, "There are none.");
}

function makeService(key) {
  const [facts, answer] = [el("p", { class: "muted" }), el("ul", { class: "answer" })];
  const node = el("article", { class: "service" }, el("h3", {}, serviceName(key)), facts, answer);
  return { node, facts, answer, parts: new Map(), service: null };
}

function fillService(shown, service) {
  const ttl = service.ttl_min === service.ttl_max ? "" : ` (${service.ttl_min} to ${service.ttl_max})`;
  const facts = [
    service.type,
    service.view && `view ${service.view}`,
    `pool ${service.pool}`,
    `${service.records} ${service.records === 1 ? "record" : "records"}`,
    `TTL ${service.ttl} s${ttl}`,
  ];
  setText(shown.facts, facts.filter(Boolean).join(" · "));
  const shares = Object.entries(service.shares).sort(([, one], [, other]) => other - one);
  const parts = shares.slice(0, MOST);
  if (shares.length > MOST) parts.push([`and ${shares.length - MOST} more`, null]);
  if (!shares.length) parts.push(["nobody: SERVFAIL", null]);
  keep(
    shown.answer,
    shown.parts,
    parts,
    (name) => ({ node: el("li", {}, el("b", {}, name), " ", el("span", {}), el("i", { class: "fill" })) }),
    ({ node }, share) => {
      const [, number, fill] = node.children;
      setText(number, share === null ? "" : percent(share));
      fill.style.width = `${100 * (share ?? 0)}%`;
    },
  );
  shown.service = service;
}

/** Show the workers; one that has other answers than the newest says so. */
export function showWorkers(status) {
  keep(
    byId("worker-list"),
    workers,
    status.workers.map((worker) => [worker.pid, worker]),
    (pid) => ({ node: el("p", { class: "worker" }, el("b", {}, `pid ${pid}`), el("span", {})) }),
    ({ node }, worker) => {
      const behind = worker.generation < status.generation;
      setText(
        node.lastChild,
        ` generation ${worker.generation}${behind ? ` (behind: ${status.generation} is the newest)` : ""} · ` +
          `${worker.queries.toLocaleString("en")} queries`,
      );
      setAttribute(node, "class", behind ? "worker warn" : "worker");
    },
  );
  setText(byId("resolvers"), [steering(status), resolvers(status.resolvers)].filter(Boolean).join(" "));
}

function steering({ workers: all, steering: by, steering_reason }) {
  if (all.length < 2) return "";
  return by === "source"
    ? "Each resolver keeps its worker."
    : `A resolver's queries come to any worker (${steering_reason}): shares are less even.`;
}

function resolvers(found) {
  if (!found?.enough) return "";
  const number = found.prefixes_at_least;
  const [largest] = found.largest;
  return (
    `${found.uncounted_at_most ? "At least " : ""}${number} ${number === 1 ? "network asks" : "networks ask"}, ` +
    `the largest with ${percent(largest.share)} of the queries (${largest.prefix}).`
  );
}

/** Return the line beside the title. */
export function factsOf(status, rates) {
  const perSecond = [...rates.values()].reduce((sum, values) => sum + (values.at(-1) ?? 0), 0);
  const parts = [
    status.version,
    `generation ${status.generation}`,
    `up ${duration(status.uptime_s)}`,
    `${rate(perSecond)} queries/s`,
    (status.listen ?? []).join(", "),
  ];
  return parts.filter(Boolean).join(" · ");
}
