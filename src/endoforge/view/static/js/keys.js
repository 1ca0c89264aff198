/** Keys to actions, and the page that lists them. */

import { byId, el } from "./dom.js";
import { LABEL_GROUPS, LABEL_HANDS } from "./labelling/hotkeys.js";

/** Keys with their actions, and what they do. */
const GROUPS = [
  ["Flight, video or folder", [
    [{ p: "autopilot" }, "Autopilot on or off"],
    [{ c: "camera" }, "Endoscope or free camera"],
    [{ k: "pause" }, "Pause and go on"],
    [{ ",": "slower", ".": "faster" }, "Slower, faster"],
    [{ h: "seek-back", j: "seek-on" }, "5 seconds back, on"],
    [{ r: "loop" }, "Loop: mark its beginning, its end; end it"],
    [{ n: "new_seed" }, "Another colon: the next seed"],
  ]],
  ["A video or folder", [
    [{ u: "frame-back", i: "frame-on" }, "A frame back, on"],
  ]],
  ["Detector", [
    [{ b: "detector" }, "Neural or heuristic"],
    [{ "-": "objectness-down", "=": "objectness-up" }, "Objectness threshold, by 0.05"],
    [{ "[": "iou-down", "]": "iou-up" }, "IoU of overlaps, by 0.05"],
    [{ y: "whose" }, "With two detectors: the thresholds of the other one"],
    [{ t: "truth" }, "Truth, hits and misses"],
    [{ v: "newest_first" }, "Newest pictures first, or each with its own boxes"],
  ]],
  ["Recorder", [
    [{ l: "record" }, "Record a capture run, and stop"],
    [{ o: "data_run" }, "Data run: autopilot, record to the end"],
  ]],
  ["Page", [
    [{ 1: "live", 2: "training", 3: "labels" }, "Live, training, labels"],
    [{ x: "boxes" }, "Boxes, or the bare picture; on this page alone"],
    [{ g: "save_clip" }, "Save the last 20 seconds as a video"],
    [{ f: "full_screen" }, "The view on all of the screen"],
    [{ "?": "help" }, "This list"],
  ]],
];
const STEERING = [
  ["Steering the endoscope", [
    [["W", "S"], "Push and pull"],
    [["A", "D"], "Turn the shaft"],
    [["←", "→", "↑", "↓"], "Bend the tip"],
    [["drag"], "Look around"],
  ]],
  ["Flying the free camera", [
    [["W", "A", "S", "D"], "Move"],
    [["Space", "Shift"], "Up and down"],
    [["←", "→", "↑", "↓"], "Look; so does dragging"],
    [["Q", "E"], "Roll"],
  ]],
];
const ANYWHERE = new Set(["live", "training", "labels", "help"]);
const REPEATING = new Set(["objectness-down", "objectness-up", "iou-down", "iou-up", "seek-back", "seek-on", "frame-back", "frame-on"]);
const ALIASES = { "+": "=", _: "-" };
const BY_KEY = new Map(GROUPS.flatMap(([, rows]) => rows.flatMap(([actions]) => Object.entries(actions))));

/** The action of a key event, or undefined. */
export function actionOf(event) {
  if ((event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph")) {
    return undefined;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return BY_KEY.get(ALIASES[key] ?? key);
}

/** Whether keys belong to a field in which one types. */
export function isTyping(target) {
  return target instanceof Element && target.matches("input:not([type=checkbox]), textarea, select");
}

/**
 * Listen: `actions` by name, `isLive` tells whether the live tab is in front, `allows` whether an
 * action may be done here.
 */
export function listenToKeys(actions, isLive, allows) {
  document.addEventListener("keydown", (event) => {
    if (isTyping(event.target) && event.target.type !== "range") return; // sliders take arrows only
    const action = actionOf(event);
    if (!action || (event.repeat && !REPEATING.has(action))) return;
    const open = document.querySelector("dialog[open]");
    if (open && !(action === "help" && open.id === "help")) return;
    if (!ANYWHERE.has(action) && !isLive()) return;
    event.preventDefault();
    if (allows(action)) actions[action]();
  });
}

/** Write the list of keys into the help dialog. */
export function writeHelp() {
  const rows = (list, keysOf) => el("dl", {}, ...list.map((row) =>
    el("div", {}, el("dt", {}, ...keysOf(row).map((key) => el("kbd", {}, key))), el("dd", {}, row.at(-1)))));
  const part = (title, list) => el("section", {}, el("h3", {}, title), list);
  byId("help-body").append(
    ...GROUPS.map(([title, list]) => part(title, rows(list, ([actions]) => Object.keys(actions).map((key) => key.toUpperCase())))),
    ...STEERING.map(([title, list]) => part(title, rows(list, ([keys]) => keys))),
    ...LABEL_GROUPS.map(([title, list]) => part(title, rows(list, ([actions]) => Object.keys(actions)))),
    ...LABEL_HANDS.map(([title, list]) => part(title, rows(list, ([keys]) => keys))),
  );
}
