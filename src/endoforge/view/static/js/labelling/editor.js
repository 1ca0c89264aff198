/** One run's frames, one after the other: what is shown, and what is done to it. */

import { getJson } from "../api.js";
import { byId, setText, show } from "../dom.js";
import { accepted, changed, draftOf, drawn, grown, isSame, savedPart, seen, shifted } from "./boxes.js";
import { BoxList } from "./box_list.js";
import { tellFrame } from "./frame_words.js";
import { FrameStrip, isDone } from "./strip.js";
import { History } from "./history.js";
import { Pace } from "./pace.js";
import { Stage } from "./stage.js";

const AHEAD = 2;
const SAME_KEY_MS = 1000;
const STEPS = new Set(["box moved", "box resized"]);

export class Editor {
  /** `on` has the listeners: close(), problem(text), toast(text); and onlyWatches() tells. */
  constructor(saver, on) {
    this.saver = saver;
    this.on = on;
    this.run = null;
    this.view = null;
    this.draft = null;
    this.selected = -1;
    this.history = new History();
    this.pace = new Pace();
    this.stage = new Stage(byId("label-stage"), {
      select: (index) => this.select(index),
      change: (index, box) => this.#reshape(index, box),
      draw: (box) => this.#add(box),
    });
    this.list = new BoxList(this);
    this.strip = new FrameStrip((place) => this.show(this.run.frames[place].frame_id));
    this.asked = 0;
  }

  get isOpen() {
    return this.run !== null;
  }

  /** Open a run at its first frame that needs a look, or at the one named. */
  async open(name, frameId = null) {
    this.run = await getJson(`/api/labels/${encodeURIComponent(name)}`);
    this.history.clear();
    this.pace.clear();
    this.onlyChosen = this.run.frames.some((note) => note.chosen && !isDone(note));
    setText(byId("label-run"), name);
    show(byId("label-chosen"), this.run.frames.some((note) => note.chosen));
    byId("label-chosen-box").checked = this.onlyChosen;
    if (!this.run.frames.length) throw new Error(`${name} has no frames`);
    await this.show(frameId ?? this.#nextInNeed(-1) ?? this.run.frames[0].frame_id);
    byId("label-stage").focus();
  }

  close() {
    this.#leave();
    this.run = this.view = this.draft = null;
    this.on.close();
  }

  /** Show a frame. What has been done to the one before is saved already. */
  async show(frameId) {
    this.#leave();
    const asked = ++this.asked;
    let view;
    try {
      view = await getJson(this.#url(frameId));
    } catch (error) {
      this.on.problem(error.message);
      return;
    }
    if (asked !== this.asked || !this.run) return; // another one was asked for meanwhile
    this.on.problem("");
    this.saver.read(view);
    this.#show(view);
    this.#loadAhead();
    const pending = this.saver.pending(this.run.name, frameId);
    if (pending) this.#set(draftOf(pending));
    else if (!view.reviewed && !seen(view.polyp_labels).length && view.status !== "given") await this.#suggest(asked);
  }

  #show(view) {
    this.view = view;
    const same = this.shownId === view.frame_id && this.shownRun === view.run;
    [this.shownId, this.shownRun] = [view.frame_id, view.run];
    if (!same) this.stage.showPicture([view.width, view.height], (width) => `${this.#url(view.frame_id)}/picture.jpg?width=${width}`);
    this.#set(draftOf(view));
    this.why = "";
    this.pace.touch();
    this.#tell();
  }

  /** Take what another has saved in place of `mine`, which undo brings back. */
  replaced(view, mine) {
    this.saver.read(view);
    if (this.run?.name === view.run) {
      const [before, after] = [draftOf(mine), draftOf(view)];
      this.history.note({ what: "theirs taken", frameId: view.frame_id, before, after, at: 0 });
    }
    if (this.view?.frame_id === view.frame_id && this.run?.name === view.run) this.#show(view);
    this.#noteStatus(view);
  }

  /** A change is on the server's disk. */
  kept(view) {
    if (this.run?.name !== view.run) return;
    if (this.view?.frame_id === view.frame_id) {
      this.view = { ...view, polyp_labels: this.view.polyp_labels };
    }
    this.#noteStatus(view);
    this.#tell();
  }

  /** Select a box by its place in the label, or none by -1. */
  select(index) {
    this.selected = index;
    this.stage.showBoxes(this.draft.polyps, index);
    this.list.update();
  }

  /** Whether the label may be changed; says why not. */
  get mayEdit() {
    if (!this.view) return false;
    if (this.on.onlyWatches()) {
      this.on.toast("This address is for watching only");
      return false;
    }
    if (!this.view.locked || this.draft.overrule) return true;
    this.on.toast("The simulator's own truth: Unlock it first");
    return false;
  }

  /** Go through the chosen frames alone, or through all. */
  onlyChosenIs(only) {
    this.onlyChosen = only;
    this.#tell();
  }

  unlock() {
    this.draft = { ...this.draft, overrule: true };
    this.#tell();
  }

  // What keys and buttons ask for.

  async accept() {
    if (!this.view) return;
    if (this.on.onlyWatches() || (this.view.locked && !this.draft.overrule)) {
      await this.#onwards();
      return;
    }
    this.#apply("confirmed", accepted(this.draft));
    this.pace.confirm(seen(this.draft.polyps).length);
    await this.#onwards();
  }

  async none() {
    if (!this.mayEdit) return;
    const polyps = this.draft.polyps.filter((polyp) => !polyp.bbox_px);
    this.#apply("no polyp here", accepted({ ...this.draft, polyps }));
    this.pace.confirm(0);
    await this.#onwards();
  }

  previous() {
    return this.#step(-1);
  }

  next() {
    return this.#step(1);
  }

  remove(index = this.selected) {
    if (!this.mayEdit || !this.draft.polyps[index]) return;
    const polyps = this.draft.polyps.filter((_, i) => i !== index);
    this.selected = -1;
    this.#apply("box removed", { ...this.draft, polyps });
  }

  classify(place, name = this.run.classes[place]) {
    if (!name) return;
    this.list.chosenClass = name;
    if (this.draft?.polyps[this.selected]) this.#edit("class changed", this.selected, { label: name });
    this.list.update();
  }

  /** Give a polyp another number. */
  renumber(index, polypId) {
    this.#edit("number changed", index, { polyp_id: polypId });
  }

  shift(dx, dy) {
    const box = this.draft.polyps[this.selected].bbox_px;
    this.#edit("box moved", this.selected, { bbox_px: shifted(box, dx, dy, this.stage.size) });
  }

  grow(dx, dy) {
    const box = this.draft.polyps[this.selected].bbox_px;
    this.#edit("box resized", this.selected, { bbox_px: grown(box, dx, dy, this.stage.size) });
  }

  /** Select the next box; false after the last, so that Tab goes on. */
  cycle(by) {
    const boxes = this.draft?.polyps.map((polyp, index) => (polyp.bbox_px ? index : -1)).filter((index) => index >= 0) ?? [];
    const at = boxes.indexOf(this.selected);
    const next = at < 0 ? (by > 0 ? 0 : boxes.length - 1) : at + by;
    this.select(boxes[next] ?? -1);
    return next in boxes;
  }

  undo() {
    return this.#travel(this.history.back(), "before", "Undone");
  }

  redo() {
    return this.#travel(this.history.again(), "after", "Done again");
  }

  closer() {
    this.stage.zoomBy(1.5);
  }

  farther() {
    this.stage.zoomBy(1 / 1.5);
  }

  fit() {
    this.stage.fit();
  }

  hide() {
    this.stage.hidesBoxes = !this.stage.hidesBoxes;
    byId("label-hide").setAttribute("aria-pressed", String(this.stage.hidesBoxes));
    this.select(this.selected);
  }

  back() {
    if (this.selected >= 0) this.select(-1);
    else this.close();
  }

  #add(box) {
    if (!this.mayEdit) return;
    const polyp = drawn(box, this.list.chosenClass ?? this.run.classes[0], this.run.next_polyp_id++);
    this.selected = this.draft.polyps.length;
    this.#apply("box drawn", { ...this.draft, polyps: [...this.draft.polyps, polyp] });
  }

  #reshape(index, box) {
    this.selected = index;
    this.#edit("box changed", index, { bbox_px: box });
  }

  #edit(what, index, fields) {
    if (!this.mayEdit || !this.draft.polyps[index]) return;
    const polyps = this.draft.polyps.map((polyp, i) => (i === index ? changed(polyp, fields) : polyp));
    this.#apply(what, { ...this.draft, polyps });
  }

  /** Take a new draft, note it for undo, and save it. Steps of one key are one change. */
  #apply(what, after) {
    const { done } = this.history;
    const last = done.at(-1);
    const now = performance.now();
    const goesOn = STEPS.has(what) && last?.what === what && last.frameId === this.view.frame_id
      && now - last.at < SAME_KEY_MS && !this.history.undone.length;
    if (goesOn) Object.assign(last, { after, at: now });
    else this.history.note({ what, frameId: this.view.frame_id, before: this.draft, after, at: now });
    this.#keep(after);
  }

  #keep(draft) {
    if (this.on.onlyWatches()) return;
    this.#set(draft);
    this.pace.touch();
    this.saver.save(this.run.name, this.view.frame_id, savedPart(draft));
    const status = draft.reviewed ? "reviewed" : this.view.status === "given" ? "given" : "predicted";
    this.#noteStatus({ frame_id: this.view.frame_id, status, polyp_labels: savedPart(draft).polyp_labels });
    this.#tell();
  }

  async #travel(change, side, word) {
    if (!change) {
      this.on.toast(word === "Undone" ? "Nothing to undo" : "Nothing to do again");
      return;
    }
    if (change.frameId !== this.view.frame_id) await this.show(change.frameId);
    if (change.frameId !== this.view.frame_id) return; // it can't be read just now
    if (!isSame(this.draft, change[side === "before" ? "after" : "before"])) {
      this.on.toast(`Somebody else has changed frame ${change.frameId} since: it stays`);
      return;
    }
    this.selected = -1;
    this.#keep({ ...change[side], overrule: change.before.overrule || change.after.overrule });
    this.on.toast(`${word}: ${change.what}`);
  }

  #set(draft) {
    this.draft = draft;
    if (!draft.polyps[this.selected]) this.selected = -1;
    this.stage.showBoxes(draft.polyps, this.selected);
    this.list.update();
  }

  #leave() {
    this.selected = -1;
  }

  async #suggest(asked) {
    const { run, view } = this;
    const before = run.frames[this.#place(view.frame_id) - 1];
    if (!before || !isDone(before) || !before.boxes) return;
    await this.saver.settled(run.name, before.frame_id);
    let found;
    try {
      found = await getJson(`${this.#url(view.frame_id)}/carried`);
    } catch {
      return; // a help that isn't there: one draws
    }
    if (asked !== this.asked || this.draft.reviewed || seen(this.draft.polyps).length) return;
    this.why = found.why ? `Nothing carried over: ${found.why}.` : "";
    const suggested = found.polyp_labels.map((polyp) => ({ ...polyp, suggested: true }));
    if (suggested.length) this.#set({ ...this.draft, polyps: [...this.draft.polyps, ...suggested] });
    this.#tell();
  }

  #loadAhead() {
    const place = this.#place(this.view.frame_id);
    for (const note of this.run.frames.slice(place + 1, place + 1 + AHEAD)) {
      this.stage.ahead((width) => `${this.#url(note.frame_id)}/picture.jpg?width=${width}`);
    }
  }

  #step(by) {
    if (!this.view) return undefined;
    const { frames } = this.run;
    let place = this.#place(this.view.frame_id) + by;
    while (this.onlyChosen && frames[place] && !frames[place].chosen) place += by;
    const note = frames[place];
    if (!note) {
      this.on.toast(by > 0 ? "The last frame" : "The first frame");
      return undefined;
    }
    return this.show(note.frame_id);
  }

  async #onwards() {
    const next = this.#nextInNeed(this.#place(this.view.frame_id));
    if (next !== null) await this.show(next);
    else {
      this.on.toast("Every frame of this run is labelled");
      this.#tell();
    }
  }

  /** The next frame that needs a look, after a place; from the start again at the end; or null. */
  #nextInNeed(place) {
    const { frames } = this.run;
    const inNeed = (note) => !isDone(note) && (!this.onlyChosen || note.chosen);
    const order = [...frames.slice(place + 1), ...frames.slice(0, Math.max(0, place))];
    return order.find(inNeed)?.frame_id ?? null;
  }

  #place(frameId) {
    return this.run.frames.findIndex((note) => note.frame_id === frameId);
  }

  #url(frameId) {
    return `/api/labels/${encodeURIComponent(this.run.name)}/${frameId}`;
  }

  #noteStatus(view) {
    const note = this.run?.frames[this.#place(view.frame_id)];
    if (note) Object.assign(note, { status: view.status, boxes: seen(view.polyp_labels).length });
  }

  #tell() {
    if (!this.view) return;
    this.strip.update(this.run.frames, this.#place(this.view.frame_id), this.onlyChosen, this.pace);
    tellFrame(this);
  }
}
