// The daemon's stream of server-sent events, read with fetch(): EventSource could not send a token.

const SILENCE_MS = 40_000; // the daemon says something every 15 s
const PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Apply a JSON Patch (RFC 6902) of the daemon: add, replace and remove, with paths through objects only. Parts that it
 * does not touch are the same objects as before, so that who shows one can see by identity whether it has changed.
 */
export function patched(target, operations) {
  const copies = new Set();
  const copied = (value) => {
    if (copies.has(value)) return value;
    const copy = { ...value };
    copies.add(copy);
    return copy;
  };
  const result = copied(target);
  for (const { op, path, value } of operations) {
    const keys = path
      .split("/")
      .slice(1)
      .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop();
    const place = keys.reduce((outer, key) => (outer[key] = copied(outer[key])), result);
    if (op === "remove") delete place[last];
    else place[last] = value;
  }
  return result;
}

/** Split what arrives of a stream into its messages: {event, id, data}. What is not whole waits for the next piece. */
export function* messages(buffer, piece) {
  buffer.text += piece;
  let end;
  let begin = 0;
  while ((end = buffer.text.indexOf("\n\n", begin)) >= 0) {
    const message = { event: "message", id: "", data: "" };
    for (const line of buffer.text.slice(begin, end).split("\n")) {
      const [, field, value] = /^([a-z]*): ?(.*)$/s.exec(line) ?? [];
      if (field === "data") message.data += value;
      else if (field === "event" || field === "id") message[field] = value;
    }
    begin = end + 2;
    if (message.data) yield message;
  }
  buffer.text = buffer.text.slice(begin);
}

/** The daemon said no, in these words; to ask again in the same way is no use. */
class Denied extends Error {}

/**
 * Reads the stream for ever, and begins anew when it ends. `hear(event, data)` gets each message. `link(state, text)`
 * hears how the connection is: "live", "lost" (trying again) or "denied" (until `restart`).
 */
export class Stream {
  #token;
  #hear;
  #link;
  #last = "";
  #abort = new AbortController();

  constructor(token, hear, link) {
    [this.#token, this.#hear, this.#link] = [token, hear, link];
  }

  /** Begin, or begin anew with the token of now. */
  restart() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#follow(this.#abort.signal);
  }

  async #follow(signal) {
    for (let pause = PAUSE_MS; !signal.aborted; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        await this.#read(signal, () => (pause = PAUSE_MS));
        if (!signal.aborted) this.#link("lost", "the daemon has closed the stream");
      } catch (error) {
        if (signal.aborted) return;
        this.#link(error instanceof Denied ? "denied" : "lost", error.message);
        if (error instanceof Denied) return;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #read(signal, reached) {
    const silent = new AbortController();
    const giveUp = () => silent.abort(new Error("the daemon is silent"));
    let timer = setTimeout(giveUp, SILENCE_MS);
    try {
      const response = await fetch("api/v1/stream", {
        headers: { ...authorization(this.#token()), ...(this.#last && { "Last-Event-ID": this.#last }) },
        signal: AbortSignal.any([signal, silent.signal]),
        cache: "no-store",
      });
      if (response.status === 401 || response.status === 403) throw new Denied(await problem(response));
      if (!response.ok) throw new Error(await problem(response));
      const [buffer, reader] = [{ text: "" }, response.body.pipeThrough(new TextDecoderStream()).getReader()];
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        clearTimeout(timer);
        timer = setTimeout(giveUp, SILENCE_MS);
        reached();
        for (const message of messages(buffer, read.value)) this.#take(message);
      }
    } finally {
      clearTimeout(timer);
      silent.abort();
    }
  }

  #take({ event, id, data }) {
    if (id) this.#last = id;
    this.#hear(event, JSON.parse(data));
    if (event === "status") this.#link("live", "");
  }
}

export const authorization = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

/** What a response that is no success says. */
export async function problem(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text.trim() || `${response.status} ${response.statusText}`;
  }
}
