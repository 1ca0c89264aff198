/** The server's HTTP interface. */

/** The JSON of a GET. Throws an Error with one line for people. */
export async function getJson(path) {
  return answer(await request(path, { headers: { Accept: "application/json" } }));
}

/** The JSON of a POST. Throws an Error with one line for people. */
export async function postJson(path, body = {}) {
  const headers = { "Content-Type": "application/json" };
  return answer(await request(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

/** The file that a POST answers with, which takes a while to make. Throws as the others. */
export async function postForFile(path) {
  const response = await request(path, { method: "POST" }, 120000);
  return response.ok ? response.blob() : answer(response);
}

/** Status and JSON of a PUT. Throws an Error with one line for people if there is no answer. */
export async function putJson(path, body, headers = {}) {
  const all = { "Content-Type": "application/json", ...headers };
  const response = await request(path, { method: "PUT", headers: all, body: JSON.stringify(body) });
  return { status: response.status, value: await response.json().catch(() => null) };
}

async function request(path, options, patienceMs = 10000) {
  try {
    return await fetch(path, { ...options, signal: AbortSignal.timeout(patienceMs) });
  } catch {
    throw new Error("The simulator doesn't answer. Is endoforge sim-view still running?");
  }
}

async function answer(response) {
  const value = await response.json().catch(() => null);
  if (!response.ok) throw new Error(value?.error ?? `The simulator answered ${response.status}`);
  return value;
}

/** Calls `work` again and again while it is wanted and the page can be seen, one call at a time. */
export class Poller {
  constructor(work, everyMs) {
    this.work = work;
    this.everyMs = everyMs;
    this.wanted = false;
    this.timer = 0;
    this.busy = false;
    document.addEventListener("visibilitychange", () => this.#go());
  }

  setActive(wanted) {
    this.wanted = wanted;
    this.#go();
  }

  /** Once more, now. */
  now() {
    this.#go();
  }

  async #go() {
    clearTimeout(this.timer);
    if (!this.wanted || document.hidden || this.busy) return;
    this.busy = true;
    try {
      await this.work();
    } finally {
      this.busy = false;
      clearTimeout(this.timer);
      if (this.wanted && !document.hidden) this.timer = setTimeout(() => this.#go(), this.everyMs);
    }
  }
}
