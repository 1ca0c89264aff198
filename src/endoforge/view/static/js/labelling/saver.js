/**
 * Saves labels as they are made. What isn't on the server's disk yet lies in this browser's storage,
 * and is sent again until it is: after a broken connection, a full disk, and a closed page.
 */

import { putJson } from "../api.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 8000;
const CONFLICT = 412;

const urlOf = ({ run, frameId }) => `/api/labels/${encodeURIComponent(run)}/${frameId}`;
const nameOf = ({ run, frameId }) => `${run}/${frameId}`;

export class Saver {
  /** `on` has the listeners: kept(view), conflict(entry, theirs), state(waiting, problem). */
  constructor(on) {
    this.on = on;
    this.root = "";
    this.waiting = new Map(); // of each frame the newest change that isn't saved
    this.digests = new Map(); // of each frame the label that changes begin from
    this.wait = FIRST_WAIT_MS;
    this.timer = 0;
    this.sending = null;
    this.problem = "";
    this.isStored = storage() !== null;
    window.addEventListener("online", () => this.retry());
  }

  /** Take up what an earlier page of the same runs has left. Until then nothing is said of what is saved. */
  restore(root) {
    if (this.root) return;
    this.root = root;
    for (const key of Object.keys(storage() ?? {}).filter((key) => key.startsWith(this.#key("")))) {
      const entry = parsed(storage().getItem(key));
      if (entry) this.waiting.set(nameOf(entry), entry);
    }
    this.retry();
    this.#tell();
  }

  /** The label of a frame as it was read: the next change begins from it. */
  read(view) {
    const name = nameOf({ run: view.run, frameId: view.frame_id });
    if (!this.waiting.has(name)) this.digests.set(name, view.digest);
  }

  /** The change of a frame that waits, or undefined. */
  pending(run, frameId) {
    return this.waiting.get(nameOf({ run, frameId }))?.body;
  }

  /** Save what became of a frame. */
  save(run, frameId, body) {
    const name = nameOf({ run, frameId });
    const before = this.waiting.get(name);
    const digest = before ? before.digest : this.digests.get(name) ?? null;
    this.#wait(name, { run, frameId, body, digest });
    if (!this.timer) this.#next();
    this.#tell();
  }

  /** Wait until a frame's change is saved, or has failed once. */
  async settled(run, frameId) {
    const name = nameOf({ run, frameId });
    while (this.sending && this.waiting.has(name)) await this.sending;
  }

  /** Don't wait for the next try. */
  retry() {
    clearTimeout(this.timer);
    this.timer = 0;
    for (const entry of this.waiting.values()) delete entry.refused;
    this.#next();
  }

  /** Forget the change of a frame, which the server refuses, or which another's is to replace. */
  forget(run, frameId) {
    this.#done(nameOf({ run, frameId }));
    this.problem = "";
    this.#tell();
  }

  /** After a conflict: let the change go over what somebody else has written. */
  overwrite(entry, theirs) {
    this.#wait(nameOf(entry), { run: entry.run, frameId: entry.frameId, body: entry.body, digest: theirs.digest });
    this.retry();
  }

  #next() {
    if (this.sending) return;
    const entry = [...this.waiting.values()].find((one) => !one.refused);
    if (!entry) return;
    this.sending = this.#send(entry).finally(() => {
      this.sending = null;
      if (!this.timer) this.#next();
      this.#tell();
    });
  }

  async #send(entry) {
    const name = nameOf(entry);
    let answer;
    try {
      answer = await putJson(urlOf(entry), entry.body, { "If-Match": `"${entry.digest ?? "none"}"` });
    } catch (error) {
      this.#later(error.message);
      return;
    }
    const { status, value } = answer;
    if (status === 200) {
      this.problem = "";
      this.wait = FIRST_WAIT_MS;
      this.digests.set(name, value.digest);
      const newer = this.waiting.get(name);
      if (newer !== entry) {
        if (newer) this.#wait(name, { ...newer, digest: value.digest });
        return; // what the page shows is newer
      }
      this.#done(name);
      this.on.kept(value);
    } else if (status === CONFLICT) {
      const newest = this.waiting.get(name) ?? entry;
      newest.refused = true;
      this.on.conflict(newest, value);
    } else if (status >= 500 || status === 423) {
      this.#later(value?.error ?? `The simulator answered ${status}`);
    } else {
      entry.refused = true;
      this.problem = `Frame ${entry.frameId} isn't saved: ${value?.error ?? status}.`;
    }
  }

  #later(problem) {
    this.problem = problem;
    this.timer = setTimeout(() => this.retry(), this.wait);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
  }

  #wait(name, entry) {
    this.waiting.set(name, entry);
    try {
      storage()?.setItem(this.#key(name), JSON.stringify(entry));
    } catch {
      this.isStored = false; // full, or forbidden: leaving the page asks first
    }
  }

  #done(name) {
    this.waiting.delete(name);
    storage()?.removeItem(this.#key(name));
  }

  #key(name) {
    return `endoforge label ${this.root} ${name}`;
  }

  #tell() {
    this.on.state(this.waiting.size, this.problem);
  }
}

function storage() {
  try {
    return window.localStorage;
  } catch {
    return null; // a browser that is told to keep nothing
  }
}

function parsed(text) {
  try {
    const { run, frameId, body, digest } = JSON.parse(text);
    return { run, frameId, body, digest };
  } catch {
    return null;
  }
}
