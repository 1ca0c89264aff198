/** The server's state, written into the page. */

import { ColonMap } from "./colon.js";
import { all, byId, clock, count, counted, el, number, setProse, setText, show, svg } from "./dom.js";
import { STYLES } from "./draw.js";

const MODES = { neural: "Neural", heuristic: "Heuristic" };

export class Hud {
  constructor() {
    this.map = new ColonMap(byId("map"));
    this.fields = new Map();
    for (const node of all("[data-hud]")) {
      const name = node.dataset.hud;
      this.fields.set(name, [...(this.fields.get(name) ?? []), node]);
    }
    this.toggles = all("[data-on]");
  }

  /** Write one `state` message. */
  update(state) {
    this.#world(state.world);
    this.#detector(state.detector);
    this.#truth(state.truth);
    this.#lesions(state.lesions);
    this.#recorder(state.recorder);
    this.#rates(state);
    this.#pressed({
      autopilot: state.world.autopilot,
      paused: state.world.paused,
      truth: state.truth.shown,
      newest_first: state.rates.newest_first,
      recording: state.recorder.recording,
      data_run: state.recorder.data_run,
    });
    this.#legend(state.truth.shown, Boolean(state.detector.second));
    this.#hint(state.world);
  }

  #write(name, text) {
    for (const node of this.fields.get(name)) setText(node, text);
  }

  #error(name, text) {
    this.#write(name, text ?? "");
    for (const node of this.fields.get(name)) show(node, Boolean(text));
  }

  #world(world) {
    this.#write("segment", world.segment ? world.segment[0].toUpperCase() + world.segment.slice(1) : "–");
    this.#write("depth", number(world.depth_cm));
    this.#write("length", number(world.length_cm || null, 0));
    this.#write("time", clock(world.time_s));
    const over = world.time_s > world.duration_s; // flown by hand, longer than the procedure
    this.#write("duration", world.duration_s && !over ? ` of ${clock(world.duration_s)}` : "");
    this.#write("speed", `${world.speed}×`);
    this.#write("camera", world.camera === "free" ? "Free camera" : "Endoscope");
    show(byId("chip-paused"), world.paused);
    this.map.update(world.segment, world.length_cm ? world.depth_cm / world.length_cm : null);
    const seed = byId("seed");
    if (document.activeElement !== seed && seed.value !== world.seed) seed.value = world.seed;
  }

  #detector(detector) {
    this.#write("mode", MODES[detector.mode]);
    this.#write("weights", detector.weights ? `\u2066${detector.weights}\u2069` : "none");
    for (const node of this.fields.get("weights")) node.title = detector.weights ?? "";
    byId("mode-dot").dataset.mode = detector.mode;
    this.#write("count", count(detector.count));
    this.#write("ms-median", number(detector.ms_median));
    this.#write("ms-p95", number(detector.ms_p95));
    this.#write("detect-hz", number(detector.hz));
    this.#error("detector-error", detector.error);
    for (const node of this.fields.get("fallback")) setProse(node, detector.fallback ?? "");
    show(byId("fallback"), Boolean(detector.fallback));
  }

  #truth(truth) {
    const { since_reset: every, minute } = truth;
    for (const name of ["tp", "fp", "fn"]) this.#write(name, count(every[name]));
    this.#write("precision", number(every.precision, 2));
    this.#write("recall", number(every.recall, 2));
    this.#write("minute-precision", number(minute.precision, 2));
    this.#write("minute-recall", number(minute.recall, 2));
    byId("since-reset").title = `Counted for: ${truth.setting}`;
  }

  #lesions(lesions) {
    this.#write("lesions-found", count(lesions.found));
    this.#write("polyps", count(lesions.polyps));
    this.#write("lesions-missed", count(lesions.missed));
    this.#write("false-tracks", count(lesions.false_tracks));
    this.#write("delay", number(lesions.delay_s, 2));
    this.map.mark(lesions.marks);
  }

  #recorder(recorder) {
    const { recording, frames, max_frames: most } = recorder;
    const bounded = most !== null && most !== undefined;
    const taken = bounded ? `${count(frames)} of ${counted(most, "frame")}` : counted(frames, "frame");
    this.#write("run", recorder.run ? (recording ? recorder.run : `${recorder.run}, ended`) : "Not recording");
    this.#write("frames", recorder.run ? taken : "");
    this.#write("rec-frames", count(frames));
    this.#error("recorder-error", recorder.error);
    show(byId("rec"), recording);
    show(byId("chip-rec"), recording);
  }

  #rates({ rates, client, renderer, device, source }) {
    this.#write("device", device ?? "");
    this.#write("shown-hz", number(client.shown_hz));
    this.#write("rendered-hz", number(rates.rendered_hz));
    this.#write("encoded-hz", number(rates.encoded_hz));
    this.#write("dropped", count(rates.dropped));
    this.#write("skipped", count(client.skipped));
    this.#write("clients", count(rates.clients));
    this.#write("made", source ? "read" : "rendered");
    this.#write("renderer", source ? "" : (renderer ?? ""));
    for (const node of this.fields.get("renderer")) node.title = `Renderer: ${renderer}`;
  }

  #pressed(on) {
    for (const button of this.toggles) {
      button.setAttribute("aria-pressed", String(Boolean(on[button.dataset.on])));
    }
  }

  #legend(truthShown, compares) {
    const legend = byId("legend");
    const kinds = truthShown ? ["hit", "false", "miss", "truth", "unconfirmed"] : ["found", "unconfirmed"];
    if (compares) kinds.push("second");
    if (legend.dataset.kinds === kinds.join(" ")) return;
    legend.dataset.kinds = kinds.join(" ");
    legend.replaceChildren(...kinds.map((kind) => {
      const { glyph, name } = STYLES[kind];
      return el("li", {}, swatch(kind), glyph ? `${glyph} ${name}` : name);
    }));
  }

  #hint(world) {
    const manual = world.camera === "free"
      ? "WASD, Space, Shift move · arrows or drag look · Q E roll"
      : world.autopilot ? "" : "W S push, pull · A D turn · arrows bend the tip";
    setText(byId("hint"), manual);
  }
}

/** A small box drawn as the boxes of that kind are. */
function swatch(kind) {
  const { colour, dash } = STYLES[kind];
  const d = kind === "truth" ? "M1 5V1H6M18 1H23V5M23 9V13H18M6 13H1V9" : "M1 1H23V13H1Z";
  const line = { d, fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash.map((v) => v / 1.6).join(" ") };
  return svg("svg", { class: "swatch", width: 24, height: 14, "aria-hidden": "true" }, svg("path", line));
}
