// The charts, drawn by uPlot: rates, shares and latencies. Lines differ by their dashes too.

/* global uPlot */
import { byId, el, keep, setText } from "./dom.js";
import { clock, milliseconds, percent, rate, wantedShares } from "./words.js";

const HEIGHT = 190;
const LINES = 8; // colours that can be told apart
const BAR_WIDTH = 46; // pixels for the two bars of one member
const DASHES = [[], [6, 3], [2, 3], [9, 3, 2, 3]];
const BORDERS = ["solid", "dashed", "dotted", "double"]; // the same in the legend

/** All charts of the page. */
export class Charts {
  #rates = new Chart(byId("chart-rates"), rate);
  #shares = new Chart(byId("chart-shares"), percent);
  #latency = new Chart(byId("chart-latency"), milliseconds);
  #pools = new Map();

  update(status, history) {
    const select = byId("chart-pool");
    keep(
      select,
      this.#pools,
      Object.keys(status.pools).map((name) => [name, name]),
      (name) => ({ node: el("option", {}, name) }),
      () => {},
    );
    byId("chart-pool-label").hidden = this.#pools.size < 2;
    const name = select.value;
    this.#rates.lines(history.times, [...history.rates]);
    if (!name) return;
    this.#drawShares(name, status.pools[name].members);
    this.#drawLatency(name, status.pools[name].members, history);
  }

  #drawShares(name, members) {
    const wanted = wantedShares(members);
    const all = Object.entries(members).map(([member, { share }]) => ({
      member,
      share,
      wanted: wanted.get(member) ?? 0,
    }));
    const most = Math.max(4, Math.floor(this.#shares.width / BAR_WIDTH));
    const some = all.length > most;
    if (some) all.sort((one, other) => difference(other) - difference(one) || other.share - one.share);
    setText(
      byId("shares-caption"),
      `Shares in ${name}: wanted by weight, and served` +
        (some ? `; the ${most} of ${all.length} that differ most` : ""),
    );
    this.#shares.bars(all.slice(0, most));
  }

  #drawLatency(name, members, history) {
    const all = Object.entries(members).sort(([, one], [, other]) => (other.latency_ms ?? -1) - (one.latency_ms ?? -1));
    const some = all.length > LINES;
    setText(
      byId("latency-caption"),
      `Time to the greeting in ${name}` + (some ? `; the ${LINES} slowest of ${all.length}` : ""),
    );
    const nothing = history.times.map(() => null);
    const shown = (some ? all.slice(0, LINES) : Object.entries(members)).map(([member]) => [
      member,
      history.latency.get(`${name}/${member}`) ?? nothing,
    ]);
    this.#latency.lines(history.times, shown);
  }
}

const difference = ({ share, wanted }) => Math.abs(share - wanted);

/** One chart. It is made anew only when it has other series, another size or other colours. */
class Chart {
  #target;
  #words;
  #plot = null;
  #shape = "";
  #drawn = () => {};

  constructor(target, words) {
    [this.#target, this.#words] = [target, words];
    const again = () => {
      this.#shape = "";
      this.#drawn();
    };
    new ResizeObserver(() => {
      if (this.#plot && this.#plot.width !== this.width) again();
    }).observe(target);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  get width() {
    return Math.max(200, this.#target.clientWidth);
  }

  /** Draw a line over time for each series, [label, values]. */
  lines(times, series) {
    this.#drawn = () => this.lines(times, series);
    const paint = paints();
    const made = () => ({
      legend: { markers: { dash: (_plot, place) => BORDERS[(place - 1) % BORDERS.length] } },
      scales: { x: { range: (plot) => span(plot.data[0]) } },
      axes: [axis(paint, { values: (_plot, splits) => splits.map((at) => clock(new Date(at * 1000)).slice(0, 5)) })],
      series: [
        { label: "at", value: (_plot, at) => (at === null ? "–" : clock(new Date(at * 1000))) },
        ...series.map(([label], place) => ({
          label,
          stroke: paint(`--line-${(place % LINES) + 1}`),
          width: 1.75,
          dash: DASHES[place % DASHES.length],
          points: { show: false },
          value: this.#value,
        })),
      ],
    });
    this.#draw(`lines ${series.map(([label]) => label).join("\n")}`, made, [
      times,
      ...series.map(([, values]) => values),
    ]);
  }

  /** Draw two bars for each of `items`: {member, wanted, share}. */
  bars(items) {
    this.#drawn = () => this.bars(items);
    const [paint, names] = [paints(), items.map(({ member }) => member)];
    const places = names.map((_name, place) => place);
    const made = () => ({
      legend: { live: false },
      scales: { x: { time: false, range: () => [-0.5, names.length - 0.5] } },
      axes: [axis(paint, { splits: () => places, values: () => names.map(short), grid: { show: false } })],
      series: [
        { label: "member" },
        {
          label: "wanted",
          fill: paint("--wanted"),
          stroke: paint("--muted"),
          width: 1,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.4, 22], align: -1 }),
        },
        {
          label: "served",
          fill: paint("--line-1"),
          stroke: paint("--line-1"),
          width: 1,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.4, 22], align: 1 }),
        },
      ],
    });
    this.#draw(`bars ${names.join("\n")}`, made, [
      places,
      items.map(({ wanted }) => wanted),
      items.map(({ share }) => share),
    ]);
  }

  #value = (_plot, value) => (value == null ? "–" : this.#words(value));

  #draw(shape, made, data) {
    if (document.hidden || !data[0].length) return;
    if (shape !== this.#shape) {
      this.#plot?.destroy();
      this.#plot = new uPlot(this.#options(made()), data, this.#target);
      this.#plot.root.querySelector(".u-legend").ariaLabel = "Values";
      this.#shape = shape;
    } else {
      this.#plot.setData(data);
    }
    // It draws in a microtask of its own, at the end of which its legend is empty.
    queueMicrotask(() => newest(this.#plot));
  }

  #options(made) {
    const { scales, axes, ...rest } = made;
    const paint = paints();
    return {
      width: this.width,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { ...scales, y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [...axes, axis(paint, { size: 60, values: (_plot, splits) => splits.map((value) => this.#words(value)) })],
      ...rest,
    };
  }
}

/** From the first sample to the last, at least a minute and at most ten. */
const span = (times) => [Math.max(times.at(-1) - 600, Math.min(times[0], times.at(-1) - 60)), times.at(-1)];

/** Where nobody points at, the legend has the newest values. */
function newest(plot) {
  if (plot.legend.live && plot.cursor.left < 0) plot.setLegend({ idx: plot.data[0].length - 1 }, false);
}

const short = (name) => (name.length > 8 ? `${name.slice(0, 7)}…` : name);

/** Return a function that reads the colours of the style sheet, which follow the system's light or dark. */
function paints() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

function axis(paint, more) {
  const lines = { stroke: paint("--rule"), width: 1 };
  return { stroke: paint("--muted"), font: "11px system-ui, sans-serif", ticks: lines, grid: lines, ...more };
}
