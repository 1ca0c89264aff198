/** Puts the page together. */

import { flySeed, makeActions } from "./actions.js";
import { ComparisonView } from "./comparison.js";
import { Connection } from "./connection.js";
import { all, byId } from "./dom.js";
import { Painter } from "./draw.js";
import { EventLog } from "./events.js";
import { FramePlayer } from "./frames.js";
import { Hud } from "./hud.js";
import { listenToKeys, writeHelp } from "./keys.js";
import { LabelTab } from "./labelling/tab.js";
import { LinkView } from "./link.js";
import { Playbar } from "./playbar.js";
import { SourceView } from "./source.js";
import { listenToDrags, Pad, Steering } from "./steering.js";
import { placeOf } from "./sharing.js";
import { Tabs } from "./tabs.js";
import { TrainingTab } from "./training.js";
import { Watching } from "./watching.js";

const page = { state: null, toggleDialog };
const hud = new Hud();
const events = new EventLog();
const painter = new Painter(byId("view"), byId("stage"));
const isLive = () => page.tabs.current === "live";
let asked = placeOf(location.hash); // by the address
let caughtUp = false; // the last events come between hello and the first state

const link = new LinkView();
const connection = new Connection({
  link: (state, seconds, ended) => {
    if (state === "lost") player.clear();
    link.update(state, seconds, ended);
  },
  hello: (hello) => {
    caughtUp = false;
    events.clear();
    painter.setAspect(...hello.resolution);
    watching.set(hello.watches_only);
    connection.onlyWatches = hello.watches_only;
  },
  state: (state) => {
    const isOther = page.state && page.state.source_place !== state.source_place;
    page.state = state;
    caughtUp = true;
    hud.update(state);
    page.comparison.update(state);
    source.update(state);
    playbar.update(state);
    if (isOther) link.expectPicture();
    link.preparing(state);
    link.setTrouble(state.trouble, state.source);
    if (asked && state.world.segment) {
      if (watching.allows("new_seed")) connection.send({ type: "seed", seed: asked.seed, at_s: asked.at_s });
      asked = null;
    }
    steering.setCamera(state.world.camera);
    page.pad.setCamera(state.world.camera);
  },
  event: (event) => events.add(event, caughtUp),
  frame: (buffer) => player.receive(buffer),
});
const player = new FramePlayer(painter, (frame) => {
  link.pictureShown();
  connection.send({ type: "ack", frame });
});
const watching = new Watching(events);
const steering = new Steering(connection, () => isLive() && !watching.only);
const training = new TrainingTab();
const labels = new LabelTab(() => page.tabs.current === "labels", () => watching.only);

page.connection = connection;
page.events = events;
page.painter = painter;
page.comparison = new ComparisonView(page);
const source = new SourceView(page);
const playbar = new Playbar(page);
page.pad = new Pad(steering);
page.tabs = new Tabs((name) => {
  player.setActive(name === "live");
  training.setActive(name === "training");
  labels.setActive(name === "labels");
  steering.releaseAll();
});
const actions = makeActions(page);

function toggleDialog(id) {
  const dialog = byId(id);
  steering.releaseAll();
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

window.addEventListener("hashchange", () => { asked = placeOf(location.hash); });
for (const button of all("[data-do]")) {
  button.addEventListener("click", (event) => {
    actions[button.dataset.do]();
    if (event.detail) button.blur(); // clicked, not keyed: the space bar flies again
  });
}
for (const dialog of all("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
}
byId("retry").addEventListener("click", () => connection.retryNow());

const seed = byId("seed");
byId("seed-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const problem = flySeed(connection, seed.value.trim());
  seed.setAttribute("aria-invalid", String(Boolean(problem)));
  if (problem) events.add({ level: "warning", text: problem });
  else seed.blur();
});
seed.addEventListener("keydown", (event) => event.key === "Escape" && seed.blur());
seed.addEventListener("blur", () => {
  seed.removeAttribute("aria-invalid");
  if (page.state) seed.value = page.state.world.seed;
});

listenToKeys(actions, isLive, (action) => watching.allows(action));
listenToDrags(byId("view"), connection);
writeHelp();
page.tabs.start();
connection.open();
