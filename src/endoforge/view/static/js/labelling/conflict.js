/** Two people have changed one label: both are shown, and one is asked for. */

import { byId, counted, el, setText, svg } from "../dom.js";
import { seen } from "./boxes.js";

const WIDTH_PX = 640;

const boxes = (polyps) => counted(seen(polyps).length, "box");

export class ConflictDialog {
  /** `settle(entry, theirs, keepsMine)` does what was decided. */
  constructor(settle) {
    this.dialog = byId("label-conflict");
    this.waiting = [];
    const decide = (keepsMine) => {
      const [{ entry, theirs }] = this.waiting.splice(0, 1);
      this.dialog.close();
      settle(entry, theirs, keepsMine);
      if (this.waiting.length) this.#show();
    };
    byId("label-keep-mine").addEventListener("click", () => decide(true));
    byId("label-take-theirs").addEventListener("click", () => decide(false));
    this.dialog.addEventListener("cancel", (event) => event.preventDefault()); // one of the two it must be
  }

  /** Ask for one of `entry`, which wasn't saved, and `theirs`, which is. */
  ask(entry, theirs) {
    const isSame = (one) => one.entry.run === entry.run && one.entry.frameId === entry.frameId;
    this.waiting = [...this.waiting.filter((one) => !isSame(one)), { entry, theirs }];
    this.#show();
  }

  #show() {
    const [{ entry, theirs }] = this.waiting;
    setText(byId("h-conflict"), `Somebody else has changed frame ${entry.frameId}`);
    const picture = (polyps, className) => {
      const { width, height } = theirs;
      const url = `/api/labels/${encodeURIComponent(entry.run)}/${entry.frameId}/picture.jpg?width=${WIDTH_PX}`;
      return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": boxes(polyps) },
        svg("image", { href: url, width, height }),
        ...seen(polyps).map(({ bbox_px: [x0, y0, x1, y1] }) =>
          svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: className })));
    };
    const side = (title, polyps, reviewed, className) => el("figure", {},
      el("figcaption", {}, `${title}: ${boxes(polyps)}${reviewed ? ", confirmed" : ""}`), picture(polyps, className));
    byId("label-both").replaceChildren(
      side("Mine", entry.body.polyp_labels, entry.body.reviewed, "mine"),
      side("Theirs", theirs.polyp_labels, theirs.reviewed, "theirs"));
    if (!this.dialog.open) this.dialog.showModal();
    byId("h-conflict").focus(); // not a button: Enter, meant for the frame, must not decide
  }
}
