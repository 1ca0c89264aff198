/** Held keys, held buttons of the pad, and drags, to steering messages. */

import { byId, el } from "./dom.js";
import { actionOf, isTyping } from "./keys.js";

const REPEAT_MS = 250;
/** Axis and sign of each physical key: [endoscope, free camera]. */
const AXES = {
  KeyW: [["forward", 1], ["forward", 1]],
  KeyS: [["forward", -1], ["forward", -1]],
  KeyA: [["roll", -1], ["right", -1]],
  KeyD: [["roll", 1], ["right", 1]],
  KeyQ: [null, ["roll", -1]],
  KeyE: [null, ["roll", 1]],
  Space: [null, ["up", 1]],
  ShiftLeft: [null, ["up", -1]],
  ShiftRight: [null, ["up", -1]],
  ArrowLeft: [["yaw", -1], ["yaw", -1]],
  ArrowRight: [["yaw", 1], ["yaw", 1]],
  ArrowUp: [["pitch", 1], ["pitch", 1]],
  ArrowDown: [["pitch", -1], ["pitch", -1]],
};
/** Buttons of the pad: key, sign, words for [endoscope, free camera] (null: no such motion). */
const PAD = [
  [["KeyW", "↥", ["Push", "Forward"]], ["KeyS", "↧", ["Pull", "Back"]],
    ["KeyA", "↺", ["Turn left", null]], ["KeyD", "↻", ["Turn right", null]],
    ["KeyA", "⇤", [null, "Left"]], ["KeyD", "⇥", [null, "Right"]],
    ["Space", "⤒", [null, "Up"]], ["ShiftLeft", "⤓", [null, "Down"]]],
  [["ArrowLeft", "←", ["Tip left", "Look left"]], ["ArrowUp", "↑", ["Tip up", "Look up"]],
    ["ArrowDown", "↓", ["Tip down", "Look down"]], ["ArrowRight", "→", ["Tip right", "Look right"]],
    ["KeyQ", "↺", [null, "Roll left"]], ["KeyE", "↻", [null, "Roll right"]]],
];

export class Steering {
  /** `isLive` tells whether the live view is in front. */
  constructor(connection, isLive) {
    this.connection = connection;
    this.isLive = isLive;
    this.camera = 0;
    this.held = new Set();
    this.sent = "";
    document.addEventListener("keydown", (event) => this.#keyDown(event));
    document.addEventListener("keyup", (event) => this.release(event.code));
    window.addEventListener("blur", () => this.releaseAll());
    document.addEventListener("visibilitychange", () => this.releaseAll());
    setInterval(() => this.held.size && this.#send(true), REPEAT_MS);
  }

  setCamera(camera) {
    this.camera = camera === "free" ? 1 : 0;
  }

  press(code) {
    this.held.add(code);
    this.#send();
  }

  release(code) {
    if (this.held.delete(code)) this.#send();
  }

  releaseAll() {
    if (!this.held.size) return;
    this.held.clear();
    this.#send();
  }

  #keyDown(event) {
    const axis = AXES[event.code]?.[this.camera];
    if (!axis || !this.isLive() || document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (actionOf(event) || event.target.closest?.("[role=tablist]")) return;
    if (event.code === "Space" && event.target.closest?.("button")) return; // it presses the button
    event.preventDefault();
    if (!event.repeat) this.press(event.code);
  }

  #send(again = false) {
    const rates = { forward: 0, right: 0, up: 0, yaw: 0, pitch: 0, roll: 0 };
    for (const code of this.held) {
      const axis = AXES[code]?.[this.camera];
      if (axis) rates[axis[0]] = Math.max(-1, Math.min(1, rates[axis[0]] + axis[1]));
    }
    const text = JSON.stringify({ type: "steer", ...rates });
    if (text !== this.sent || again) this.connection.sendText(text);
    this.sent = text;
  }
}

/** Drags over the view, at most one message for each picture of the screen. */
export function listenToDrags(canvas, connection) {
  let last = null;
  let moved = null;
  const send = () => {
    if (moved) connection.send({ type: "drag", dx: moved[0], dy: moved[1] });
    moved = null;
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = [event.clientX, event.clientY];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    if (!moved) requestAnimationFrame(send);
    const [dx, dy] = moved ?? [0, 0];
    moved = [dx + event.clientX - last[0], dy + event.clientY - last[1]];
    last = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => { last = null; });
  }
}

/** The steering keys as buttons, for a mouse or a finger. */
export class Pad {
  constructor(steering) {
    this.root = byId("pad");
    this.buttons = [];
    for (const group of PAD) {
      this.root.append(el("div", { class: "pad-group" }, ...group.map((row) => this.#button(row, steering))));
    }
    this.setCamera("endoscope");
  }

  setCamera(camera) {
    if (camera === this.camera) return;
    this.camera = camera;
    for (const [button, words] of this.buttons) {
      const word = words[camera === "free" ? 1 : 0];
      button.hidden = word === null;
      if (word) button.lastChild.textContent = word;
    }
  }

  toggle() {
    this.root.hidden = !this.root.hidden;
    byId("steer-toggle").setAttribute("aria-expanded", String(!this.root.hidden));
  }

  #button([code, sign, words], steering) {
    const press = (event) => { event.preventDefault(); steering.press(code); };
    const release = () => steering.release(code);
    const onKey = (event) => (event.key === "Enter" || event.key === " ") && !event.repeat && press(event);
    const button = el("button", {
      class: "button hold", type: "button", onpointerdown: press, onpointerup: release,
      onpointerleave: release, onpointercancel: release, onkeydown: onKey, onkeyup: release,
      onblur: release, oncontextmenu: (event) => event.preventDefault(),
    }, el("i", { "aria-hidden": "true" }, sign), el("span", {}, ""));
    this.buttons.push([button, words]);
    return button;
  }
}
