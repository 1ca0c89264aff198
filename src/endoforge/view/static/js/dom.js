/** Small helpers for the document. */

const SVG = "http://www.w3.org/2000/svg";

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/** All elements that a selector matches. */
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/** A new element: `el("p", {class: "quiet"}, "text", child)`. `on...` attributes are listeners. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Write a text only if it changed: no layout, and nothing for a screen reader to repeat. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The same for a text in which `code` stands between backticks. */
export function setProse(node, text) {
  if (node.dataset.prose === text) return;
  node.dataset.prose = text;
  node.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part)));
}

/** Show or hide. */
export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/** 12.3, or a dash for what isn't known. */
export function number(value, digits = 1) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

/** A count with its thousands apart, or a dash. */
export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en");
}

/** "1 frame", "2,000 frames", "3 boxes", of `what` is one. */
export function counted(value, what) {
  if (value === 1) return `1 ${what}`;
  return `${count(value)} ${what}${/[sx]$/.test(what) ? "es" : "s"}`;
}

/** "42 s", "12 min", "3.1 h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** "1:05", of simulated seconds. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
