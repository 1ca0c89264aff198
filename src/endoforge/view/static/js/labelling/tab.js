/** The label tab: the runs, and one of them frame by frame. */

import { getJson, Poller } from "../api.js";
import { all, byId, counted, el, setText, show } from "../dom.js";
import { isTyping } from "../keys.js";
import { ConflictDialog } from "./conflict.js";
import { Editor } from "./editor.js";
import { askedBy } from "./hotkeys.js";
import { LearningPanel } from "./learning.js";
import { Saver } from "./saver.js";
import { RunShelf } from "./shelf.js";

const RUNS_MS = 5000;
const TOAST_MS = 2500;

export class LabelTab {
  /** `isInFront` tells whether the tab is, `onlyWatches` whether the page may change nothing. */
  constructor(isInFront, onlyWatches) {
    this.isInFront = isInFront;
    this.conflicts = new ConflictDialog((entry, theirs, keepsMine) => this.#settle(entry, theirs, keepsMine));
    this.saver = new Saver({
      kept: (view) => this.editor.kept(view),
      conflict: (entry, theirs) => this.conflicts.ask(entry, theirs),
      state: (waiting, problem) => this.#saved(waiting, problem),
    });
    this.editor = new Editor(this.saver, {
      close: () => this.#showShelf(),
      problem: (text) => this.#problem(text),
      toast: (text) => this.#toast(text),
      onlyWatches,
    });
    this.shelf = new RunShelf((name) => this.#open(name));
    this.learning = new LearningPanel();
    this.poller = new Poller(() => this.#refresh(), RUNS_MS);
    document.addEventListener("keydown", (event) => this.#key(event), { capture: true });
    for (const button of all("[data-label]")) {
      button.addEventListener("click", () => {
        this.editor[button.dataset.label]();
        byId("label-stage").focus({ preventScroll: true });
      });
    }
    byId("label-back").addEventListener("click", () => this.editor.close());
    byId("label-retry").addEventListener("click", () => this.saver.retry());
    byId("label-chosen-box").addEventListener("change", ({ target }) => this.editor.onlyChosenIs(target.checked));
    window.addEventListener("beforeunload", (event) => {
      if (this.saver.waiting.size && !this.saver.isStored) event.preventDefault();
    });
  }

  setActive(active) {
    const showsShelf = active && !this.editor.isOpen;
    this.poller.setActive(showsShelf);
    this.learning.setActive(showsShelf);
  }

  async #refresh() {
    try {
      const shelf = await getJson("/api/labels");
      this.saver.restore(shelf.root);
      this.shelf.update(shelf);
      this.#problem("");
    } catch (error) {
      this.#problem(error.message);
    }
  }

  async #open(name) {
    try {
      show(byId("label-shelf"), false);
      show(byId("label-editor"), true);
      await this.editor.open(name);
      this.setActive(true);
    } catch (error) {
      this.editor.close();
      this.#problem(error.message);
    }
  }

  #showShelf() {
    show(byId("label-editor"), false);
    show(byId("label-shelf"), true);
    this.setActive(this.isInFront());
  }

  #settle(entry, theirs, keepsMine) {
    if (keepsMine) {
      this.saver.overwrite(entry, theirs);
      return;
    }
    this.saver.forget(entry.run, entry.frameId);
    this.editor.replaced(theirs, entry.body);
  }

  /** Keys go to the frame that is open, before the rest of the page sees them. */
  #key(event) {
    if (!this.isInFront() || !this.editor.isOpen || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") byId("label-stage").focus();
      if (event.target.type !== "range") return;
    }
    if (event.target.closest("[role=tablist]")) return; // its arrows choose a tab
    const onStage = event.target === byId("label-stage") || event.target === document.body;
    const asked = askedBy(event, this.editor.selected >= 0);
    if (!asked) return;
    const [action, ...values] = asked;
    // Buttons and Tab keep their own meaning where the focus is.
    if (!onStage && (action === "cycle" || (action === "accept" && event.target.closest("button, label")))) return;
    if (event.repeat && ["accept", "none", "remove"].includes(action)) return;
    event.stopImmediatePropagation();
    const isTaken = this.editor[action](...values);
    if (action !== "cycle" || isTaken) event.preventDefault();
  }

  #saved(waiting, problem) {
    const node = byId("label-saved");
    node.dataset.state = problem ? "trouble" : waiting ? "saving" : "saved";
    setText(node, problem ? `Not saved yet: ${counted(waiting, "frame")}; kept here` : waiting ? "Saving…" : "All saved");
    node.title = problem && "Kept in this browser until the server has it";
    show(byId("label-retry"), Boolean(problem));
    if (problem) this.#problem(problem, true);
    else if (this.saveProblem) this.#problem("", true);
  }

  #problem(text, ofSaving = false) {
    if (!text && this.saveProblem && !ofSaving) return;
    this.saveProblem = ofSaving && Boolean(text);
    setText(byId("label-problem-text"), text);
    show(byId("label-problem"), Boolean(text));
  }

  #toast(text) {
    const toast = el("div", { class: "toast" }, text);
    byId("label-toasts").replaceChildren(toast);
    setTimeout(() => toast.remove(), TOAST_MS);
  }
}
