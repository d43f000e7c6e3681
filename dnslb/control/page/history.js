// What charts and sparklines show: a sample every few seconds of the last ten minutes.

const MINUTES = 10;

/** Series that have a value for each of `times` (Unix time in seconds, rising), null where nothing is known. */
export class History {
  interval = 2;
  times = [];
  /** Answers per second, by response code. */
  rates = new Map();
  /** Milliseconds to the greeting, by "pool/member". */
  latency = new Map();
  #counted = null;

  /**
   * Take what the daemon remembers, in place of what is here since then; one that has just been started remembers less.
   * `now` is Unix time in seconds.
   */
  begin({ interval_s, rcodes, latency_ms }, now) {
    const length = Math.max(0, ...[rcodes, latency_ms].flatMap(Object.values).map((values) => values.length));
    const times = Array.from({ length }, (_, place) => now - (length - 1 - place) * interval_s);
    const kept = length ? this.times.filter((time) => time < times[0]).length : this.times.length;
    this.interval = interval_s;
    this.times = [...this.times.slice(0, kept), ...times];
    this.rates = joined(this.rates, rcodes, kept, length);
    this.latency = joined(this.latency, latency_ms, kept, length);
    this.#counted = null;
    this.#forget();
  }

  /** Add a sample of the status; null for a status while there is no daemon. */
  sample(status, now) {
    this.times.push(now);
    add(this.rates, status ? this.#rates(status) : [], this.times.length);
    add(this.latency, status ? latencies(status) : [], this.times.length);
    this.#forget();
  }

  #forget() {
    const old = this.times.length - (MINUTES * 60) / this.interval;
    if (old <= 0) return;
    for (const values of [this.times, ...this.rates.values(), ...this.latency.values()]) values.splice(0, old);
  }

  /** The rates since the last sample, by the daemon's own clock: a patch that comes late changes nothing. */
  #rates({ rcodes, uptime_s }) {
    const before = this.#counted;
    if (uptime_s === before?.uptime_s) return this.#last();
    this.#counted = { rcodes, uptime_s };
    if (!before || uptime_s < before.uptime_s) return this.#last();
    const passed = uptime_s - before.uptime_s;
    return Object.entries(rcodes).map(([rcode, count]) => [rcode, (count - (before.rcodes[rcode] ?? 0)) / passed]);
  }

  #last() {
    return [...this.rates].map(([rcode, values]) => [rcode, values.at(-1) ?? null]);
  }
}

function* latencies({ pools }) {
  for (const [pool, { members }] of Object.entries(pools)) {
    for (const [name, member] of Object.entries(members)) yield [`${pool}/${name}`, member.latency_ms];
  }
}

/** Return the series with `kept` old values and then `length` new ones each, null where there are none. */
function joined(old, fresh, kept, length) {
  const nothing = (count) => Array(count).fill(null);
  const series = new Map();
  for (const key of new Set([...old.keys(), ...Object.keys(fresh)])) {
    const [before, values] = [old.get(key)?.slice(0, kept) ?? nothing(kept), fresh[key] ?? []];
    series.set(key, [...before, ...nothing(length - values.length), ...values]);
  }
  return series;
}

/** Add a value to each series, null to those that have none now; a new one has no past. Who has none left is dropped. */
function add(series, values, length) {
  for (const [key, value] of values) {
    let known = series.get(key);
    if (known === undefined) series.set(key, (known = Array(length - 1).fill(null)));
    known.push(value);
  }
  for (const [key, known] of series) {
    if (known.length < length) known.push(null);
    if (known.at(-1) === null && known.every((value) => value === null)) series.delete(key);
  }
}
