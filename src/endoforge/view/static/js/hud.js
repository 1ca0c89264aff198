/** The server's state, written into the page. */

import { ColonMap } from "./colon.js";
import { all, byId, clock, count, el, number, setProse, setText, show, svg } from "./dom.js";
import { STYLES } from "./draw.js";

const MODES = { neural: "Neural", heuristic: "Heuristic", off: "Off" };

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
    this.#world(state);
    this.#detector(state.detector);
    this.#truth(state.truth);
    this.#recorder(state.recorder);
    this.#rates(state);
    this.#pressed({
      autopilot: state.autopilot,
      paused: state.paused,
      truth: state.truth.shown,
      recording: state.recorder.recording,
      data_run: state.recorder.data_run,
    });
    this.#legend(state.truth.shown);
    this.#hint(state);
  }

  #write(name, text) {
    for (const node of this.fields.get(name)) setText(node, text);
  }

  #error(name, text) {
    this.#write(name, text ?? "");
    for (const node of this.fields.get(name)) show(node, Boolean(text));
  }

  #world(state) {
    this.#write("segment", state.segment ? state.segment[0].toUpperCase() + state.segment.slice(1) : "–");
    this.#write("depth", number(state.depth_cm));
    this.#write("length", number(state.length_cm || null, 0));
    this.#write("time", clock(state.time_s));
    const over = state.time_s > state.duration_s; // flown by hand, longer than the procedure
    this.#write("duration", state.duration_s && !over ? ` of ${clock(state.duration_s)}` : "");
    this.#write("speed", `${state.speed}×`);
    this.#write("camera", state.camera === "free" ? "Free camera" : "Endoscope");
    show(byId("chip-paused"), state.paused);
    this.map.update(state.segment, state.length_cm ? state.depth_cm / state.length_cm : null);
    const seed = byId("seed");
    if (document.activeElement !== seed && seed.value !== state.seed) seed.value = state.seed;
  }

  #detector(detector) {
    this.#write("mode", MODES[detector.mode] ?? detector.mode);
    byId("mode-dot").dataset.mode = detector.mode;
    this.#write("count", count(detector.count));
    this.#write("objectness", number(detector.objectness, 2));
    this.#write("iou", number(detector.iou, 2));
    this.#write("ms-median", number(detector.ms_median));
    this.#write("ms-p95", number(detector.ms_p95));
    this.#write("detect-hz", number(detector.hz));
    this.#error("detector-error", detector.error);
    this.#write("fallback-title", detector.mode === "off" ? "No detector." : "Heuristic detector in use.");
    for (const node of this.fields.get("fallback")) setProse(node, detector.fallback ?? "");
    show(byId("fallback"), Boolean(detector.fallback));
  }

  #truth(truth) {
    for (const name of ["tp", "fp", "fn"]) this.#write(name, count(truth[name]));
    this.#write("precision", number(truth.precision, 2));
    this.#write("recall", number(truth.recall, 2));
  }

  #recorder(recorder) {
    const { recording, frames, max_frames: most } = recorder;
    const of = most === null || most === undefined ? "" : ` of ${count(most)}`;
    this.#write("run", recorder.run ? (recording ? recorder.run : `${recorder.run}, ended`) : "Not recording");
    this.#write("frames", recorder.run ? `${count(frames)}${of} frames` : "");
    this.#write("rec-frames", count(frames));
    this.#error("recorder-error", recorder.error);
    show(byId("rec"), recording);
    show(byId("chip-rec"), recording);
  }

  #rates({ rates, client, renderer, device }) {
    this.#write("device", device ?? "");
    this.#write("shown-hz", number(client.shown_hz));
    this.#write("rendered-hz", number(rates.rendered_hz));
    this.#write("encoded-hz", number(rates.encoded_hz));
    this.#write("dropped", count(rates.dropped));
    this.#write("skipped", count(client.skipped));
    this.#write("clients", count(rates.clients));
    this.#write("renderer", renderer ? `renderer: ${renderer}` : "");
  }

  #pressed(on) {
    for (const button of this.toggles) {
      button.setAttribute("aria-pressed", String(Boolean(on[button.dataset.on])));
    }
  }

  #legend(truthShown) {
    const legend = byId("legend");
    if (legend.dataset.truth === String(truthShown)) return;
    legend.dataset.truth = String(truthShown);
    const kinds = truthShown ? ["hit", "false", "miss", "truth"] : ["found"];
    legend.replaceChildren(...kinds.map((kind) => {
      const { glyph, name } = STYLES[kind];
      return el("li", {}, swatch(kind), glyph ? `${glyph} ${name}` : name);
    }));
  }

  #hint(state) {
    const manual = state.camera === "free"
      ? "WASD, Space, Shift move · arrows or drag look · Q E roll"
      : state.autopilot ? "" : "W S push, pull · A D turn · arrows bend the tip";
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
