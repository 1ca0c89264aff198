/** Starting and stopping `datagen` and `train`, and the tail of their logs. */

import { getJson, postJson } from "./api.js";
import { byId, el, setText, show } from "./dom.js";

const MOST_CHARS = 60000;
const WORDS = {
  datagen: { title: "Make data", start: "Start datagen", stop: "Stop and keep" },
  train: { title: "Train", start: "Start training", stop: "Stop and save" },
};
const FIELDS = {
  runs: { label: "Runs", min: 1, step: 1 },
  max_frames: { label: "Frames a run", min: 1, step: 1 },
  seed: { label: "Seed", min: 0, step: 1 },
  epochs: { label: "Epochs", min: 1, step: 1 },
  batch_size: { label: "Batch size", min: 1, step: 1 },
  lr_start: { label: "Learning rate", min: 0, step: "any" },
};

export class JobPanel {
  /** `kind` is datagen or train; `changed` is called after a start or a stop. */
  constructor(kind, changed) {
    this.kind = kind;
    this.changed = changed;
    this.read = 0;
    this.started = null;
    this.badge = el("span", { class: "badge" }, "–");
    this.fields = el("div", { class: "fields" });
    this.start = el("button", { class: "button primary", type: "submit", disabled: true }, WORDS[kind].start);
    this.stop = el("button", { class: "button danger", type: "button", disabled: true, onclick: () => this.#ask("stop") }, WORDS[kind].stop);
    this.problem = el("p", { class: "error", role: "alert", hidden: true });
    this.command = el("p", { class: "command" });
    this.text = el("pre", { class: "tail", tabindex: "0", "aria-label": `Log of ${kind}` });
    const form = el("form", { onsubmit: (event) => this.#submit(event) },
      this.fields, el("div", { class: "buttons" }, this.start, this.stop));
    byId(`job-${kind}`).append(
      el("div", { class: "card-head" }, el("h2", { id: `h-${kind}` }, WORDS[kind].title), this.badge),
      form, this.problem, this.command, this.text);
  }

  /** Show a JOB of /api/jobs, and read what its log has gained. */
  async update(job) {
    if (!this.fields.children.length) this.#makeFields(job.defaults);
    this.badge.dataset.state = job.state;
    const code = job.state === "failed" && job.exit_code !== null ? `, exit code ${job.exit_code}` : "";
    setText(this.badge, job.state + code);
    setText(this.start, job.goes_on ? "Go on with training" : WORDS[this.kind].start);
    this.start.title = job.goes_on ? "From what the last training saved; it must be of the same data and settings" : "";
    this.start.disabled = job.state === "running";
    this.stop.disabled = job.state !== "running";
    setText(this.command, job.command ?? "");
    show(this.command, Boolean(job.command));
    if (job.started_unix !== this.started) this.#forget(job.started_unix);
    if (job.log_size !== this.read) await this.#tail();
    this.text.classList.toggle("none", !this.text.textContent);
    this.text.dataset.none = job.state === "idle" ? "The log comes here." : "";
  }

  #makeFields(defaults) {
    this.fields.append(...Object.entries(defaults).map(([name, value]) => {
      const { label, ...range } = FIELDS[name] ?? { label: name, step: "any" };
      const input = el("input", { type: "number", name, value, required: true, ...range });
      return el("label", {}, el("span", {}, label), input);
    }));
  }

  #submit(event) {
    event.preventDefault();
    const values = new FormData(event.target);
    this.#ask("start", Object.fromEntries([...values].map(([name, text]) => [name, Number(text)])));
  }

  async #ask(what, body) {
    this.start.disabled = this.stop.disabled = true;
    let problem = "";
    try {
      await postJson(`/api/jobs/${this.kind}/${what}`, body);
    } catch (error) {
      problem = error.message;
    }
    setText(this.problem, problem);
    show(this.problem, Boolean(problem));
    this.start.disabled = this.stop.disabled = false; // the next answer of /api/jobs sets them right
    this.changed();
  }

  #forget(started) {
    this.started = started;
    this.read = 0;
    this.text.textContent = "";
  }

  async #tail() {
    const { text, next } = await getJson(`/api/jobs/${this.kind}/log?from=${this.read}`);
    this.read = next;
    const { scrollTop, scrollHeight, clientHeight } = this.text;
    const atEnd = scrollTop + clientHeight >= scrollHeight - 8;
    setText(this.text, (this.text.textContent + text).slice(-MOST_CHARS));
    if (atEnd) this.text.scrollTop = this.text.scrollHeight;
  }
}
