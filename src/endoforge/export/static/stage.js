/** What is seen: the picture, the boxes over it, and what is said of both. */

const byId = (id) => document.getElementById(id);
const SMALL = 320; // pictures narrower than this are shown larger

function make(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

/** The name of a class and its score, as people read it. */
const captionOf = ({ label, score }) => `${label} ${score.toFixed(2)}`;

/** How many boxes there are, in words. */
const counted = (number) => `${number || "no"} ${number > 1 ? "boxes" : "box"}`;

/** Show a picture, or another frame of a clip. */
function showPicture(source, width, height) {
  const canvas = byId("picture");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").drawImage(source, 0, 0);
  byId("view").classList.toggle("small", width < SMALL);
  byId("view").hidden = false;
  byId("empty").hidden = byId("words").hidden = true;
}

/** Show words in place of a picture. */
function showWords(text, summary) {
  byId("words").textContent = text;
  byId("words").hidden = false;
  byId("words").classList.remove("fault");
  byId("view").hidden = byId("empty").hidden = true;
  byId("found").replaceChildren();
  byId("boxes").replaceChildren();
  byId("summary").textContent = summary;
}

/** Show why there is no picture. */
function showFault(text) {
  showWords(text, "Not looked at.");
  byId("words").classList.add("fault");
}

/** Draw the boxes of `found`, and list them. */
function showFound(found, name) {
  byId("boxes").replaceChildren(...found.map(drawn));
  byId("found").replaceChildren(
    ...found.map(({ label, score }) => {
      const row = make("li", label);
      row.append(make("b", score.toFixed(2)));
      return row;
    }),
  );
  const summary = `${name}: ${counted(found.length)}`;
  if (byId("summary").textContent !== summary) byId("summary").textContent = summary;
  byId("picture").setAttribute("aria-label", name);
}

function drawn(detection) {
  const [left, top, right, bottom] = detection.box;
  const box = make("div", "", "box");
  box.style.left = `${left * 100}%`;
  box.style.top = `${top * 100}%`;
  box.style.width = `${(right - left) * 100}%`;
  box.style.height = `${(bottom - top) * 100}%`;
  box.classList.toggle("high", top < 0.06);
  box.classList.toggle("right", left > 0.8);
  box.append(make("span", captionOf(detection)));
  return box;
}

/** Say something about what is shown that people should know; nothing hides it. */
function showNote(text) {
  byId("note").textContent = text ?? "";
  byId("note").hidden = !text;
}

/** 83.4 seconds as 1:23.4. */
function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}
