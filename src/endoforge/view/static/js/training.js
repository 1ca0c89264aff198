/** The training tab: status, curves, runs and jobs. */

import { getJson, Poller } from "./api.js";
import { LineChart } from "./chart.js";
import { byId, count, duration, el, number, setText, show } from "./dom.js";
import { JobPanel } from "./jobs.js";
import { RunGallery } from "./runs.js";

const TRAINING_MS = 1500;
const RUNS_MS = 5000;
const JOBS_MS = 1500;
const STALE_S = 30;
const TILES = ["status", "epoch", "step", "loss", "mean IoU", "images/s", "time left", "device"];
const WORDS = { starting: "Starting", running: "Running", done: "Done", stopped: "Stopped", failed: "Failed" };

export class TrainingTab {
  constructor() {
    this.tiles = new Map(TILES.map((name) => [name, el("dd", {}, "–")]));
    byId("tiles").append(...TILES.map((name) => el("div", {}, el("dt", {}, name), this.tiles.get(name))));
    this.charts = makeCharts();
    this.gallery = new RunGallery();
    this.jobs = ["datagen", "train"].map((kind) => new JobPanel(kind, () => this.pollers.forEach((poller) => poller.now())));
    this.problems = new Map();
    this.pollers = [
      this.#poller("training", TRAINING_MS, async () => this.#training(await getJson("/api/training"))),
      this.#poller("runs", RUNS_MS, async () => this.gallery.update(await getJson("/api/runs"))),
      this.#poller("jobs", JOBS_MS, async () => this.#jobs(await getJson("/api/jobs"))),
    ];
  }

  setActive(active) {
    this.pollers.forEach((poller) => poller.setActive(active));
  }

  /** A poller whose problem is shown for as long as it lasts. */
  #poller(name, everyMs, work) {
    return new Poller(async () => {
      try {
        await work();
        this.problems.delete(name);
      } catch (error) {
        this.problems.set(name, error.message);
      }
      const banner = byId("training-problem");
      setText(banner, [...new Set(this.problems.values())].join(" "));
      show(banner, this.problems.size > 0);
    }, everyMs);
  }

  async #jobs(jobs) {
    for (const panel of this.jobs) await panel.update(jobs[panel.kind]);
  }

  #training({ status, metrics, losses, phase }) {
    this.#status(phase === "starting" ? { status: "starting" } : status, phase === "gone");
    const lines = lastTraining(metrics);
    const perEpoch = status?.steps_per_epoch;
    const sampled = perEpoch ? lastRise(losses).map(([step, loss]) => [step / perEpoch, loss]) : [];
    const at = (pick) => lines.map((line) => [line.epoch, pick(line) ?? null]);
    this.charts.loss.setData([sampled, at((line) => line.loss)]);
    this.charts.iou.setData([
      at((line) => line.val_metrics?.[0]?.mean_iou),
      at((line) => line.val_metrics?.[0]?.precision),
      at((line) => line.val_metrics?.[0]?.recall),
    ]);
    this.charts.ap.setData([at((line) => line.ap50), at((line) => line.ap75), at((line) => line.ap)]);
  }

  /** `gone`: it says that it runs, and its process has ended. */
  #status(status, gone) {
    const tile = (name, text) => setText(this.tiles.get(name), text);
    const of = (part, whole) => (part || whole ? `${count(part)} / ${count(whole)}` : "–");
    const quiet = status?.status === "running" && Date.now() / 1000 - status.updated_unix > STALE_S;
    tile("status", !status ? "Not started" : gone ? "Ended" : quiet ? "No news" : WORDS[status.status] ?? status.status);
    byId("tiles").dataset.status = gone || quiet ? "quiet" : status?.status ?? "none";
    this.tiles.get("status").title = status?.error ?? (gone ? "It ended without a last word: its log tells more" : quiet ? "Says that it runs, but hasn't written for a while" : "");
    tile("epoch", of(status?.epoch, status?.epochs));
    tile("step", of(status?.step, status?.steps_per_epoch));
    tile("loss", number(status?.loss, 3));
    tile("mean IoU", number(status?.mean_iou, 3));
    tile("images/s", number(status?.images_per_s, 0));
    tile("time left", status?.status === "running" && !gone ? duration(status.eta_s) : "–");
    tile("device", status?.device ?? "–");
  }
}

function makeCharts() {
  const xLabel = "epoch";
  const xRead = (x) => `epoch ${Number.isInteger(x) ? x : x.toFixed(2)}`;
  const later = "Nothing yet. It comes with the first epoch's validation.";
  return {
    loss: new LineChart(byId("chart-loss"), [
      { name: "as it runs", className: "amber thin" },
      { name: "mean of epoch", className: "amber", points: true },
    ], { title: "Loss", xLabel, xRead, yMax: null, empty: "Nothing yet. Start a training below, or run endoforge train." }),
    iou: new LineChart(byId("chart-iou"), [
      { name: "mean IoU", className: "green", points: true },
      { name: "precision", className: "blue dashed", points: true },
      { name: "recall", className: "ink dotted", points: true },
    ], { title: "IoU, precision, recall", xLabel, xRead, yMax: 1, empty: later }),
    ap: new LineChart(byId("chart-ap"), [
      { name: "AP50", className: "green", points: true },
      { name: "AP75", className: "blue dashed", points: true },
      { name: "AP", className: "ink dotted", points: true },
    ], { title: "Average precision", xLabel, xRead, yMax: 1, empty: later }),
  };
}

/** The lines of the training that wrote last; a file may hold many. */
export function lastTraining(metrics) {
  const id = metrics.at(-1)?.training;
  const ours = metrics.filter((line) => line.training === id);
  const byEpoch = new Map(ours.map((line) => [line.epoch, line]));
  return [...byEpoch.values()].sort((a, b) => a.epoch - b.epoch);
}

/** The samples since the steps last began anew. */
export function lastRise(losses) {
  let first = 0;
  for (let i = 1; i < losses.length; i++) if (losses[i][0] < losses[i - 1][0]) first = i;
  return losses.slice(first);
}
