/** The map: signals left, the instruments that they update in the middle, who listens to them right. */

import { $, make, write } from "../dom.js";
import { number, words } from "../format.js";
import { drawEdges, light, pinEdges, putOut } from "./map_edges.js";
import { describeGroup, describeInstrument, describeListener, describeSignal } from "./map_detail.js";
import { moveBetween } from "./map_keys.js";

const OPEN_FIRST = 60; // nodes that are shown at first, at most: groups are opened until there are as many
const signals = new Map(), instruments = new Map(), listeners = new Map(), groups = new Map();
let pinned = "", waiting = false;

const node = (kind, key, name, more) => {
  const counter = make("span", { class: "count" });
  const element = make("button", { type: "button", class: `node ${kind}`, tabindex: -1, "aria-describedby": "map-detail", "data-key": key, ...more },
    make("span", { class: "node-name" }, name), counter);
  return { element, counter };
};

function groupOf(name) {
  if (groups.has(name)) return groups.get(name);
  const count = make("span", { class: "count" }), sum = make("span", { class: "group-sum" });
  const head = make("button", { type: "button", class: "node group-head", "aria-expanded": "false", "aria-describedby": "map-detail" },
    make("span", { class: "node-name" }, words(name)), count);
  const left = make("ul", { "aria-label": `Signals: ${words(name)}` }), middle = make("ul", { "aria-label": `Instruments: ${words(name)}` });
  const row = make("section", { class: "map-group", "aria-label": words(name) }, make("div", { class: "map-left" }, head, left),
    make("div", { class: "map-middle" }, sum, middle));
  const group = { name, head, count, sum, left, middle, row, open: false, signals: [], instruments: [] };
  head.addEventListener("click", () => { setOpen(group, !group.open); layout(); });
  groups.set(name, group);
  return group;
}

function setOpen(group, open) {
  group.open = open;
  group.head.setAttribute("aria-expanded", String(open));
  group.row.classList.toggle("is-open", open);
}

/** Build the map that the server describes. */
export function buildMap(map) {
  for (const kept of [signals, instruments, listeners, groups]) kept.clear();
  for (const instrument of map.instruments) groupOf(instrument.group); // in the catalogue's order
  for (const signal of map.signals) {
    const one = { count: 0, ...signal, ...node("signal", signal.name, signal.name, { "aria-pressed": "false" }) };
    one.element.addEventListener("click", () => follow(pinned === signal.name ? "" : signal.name));
    signals.set(signal.name, one);
    groupOf(signal.group).signals.push(one);
  }
  for (const instrument of map.instruments) {
    const one = { signals: [instrument.signal], ...instrument, ...node("instrument", instrument.family, instrument.family) };
    one.element.addEventListener("click", () => follow(pinned === instrument.signal ? "" : instrument.signal));
    instruments.set(instrument.family, one);
    groupOf(instrument.group).instruments.push(one);
  }
  for (const listener of map.listeners) listeners.set(listener.name, { failures: 0, ...listener, ...node("listener", listener.name, words(listener.name)) });
  for (const group of groups.values()) {
    for (const [list, of] of [[group.left, group.signals], [group.middle, group.instruments]]) {
      list.replaceChildren(...of.map((one) => make("li", {}, one.element)));
      if (of.length) of[0].element.tabIndex = 0;
    }
  }
  const right = [...listeners.values()];
  if (right.length) right[0].element.tabIndex = 0;
  $("map-groups").replaceChildren(...[...groups.values()].map((group) => group.row));
  $("map-listeners").replaceChildren(...right.map((one) => make("li", {}, one.element)));
  openSome();
  updateMap({});
  layout();
}

function openSome() {
  let nodes = 0;
  for (const group of groups.values()) {
    const size = Math.max(group.signals.length, group.instruments.length);
    const open = innerWidth > 800 && nodes + size <= OPEN_FIRST && ["workflows", "agents"].some((name) => group.name.toLowerCase().startsWith(name));
    setOpen(group, open);
    if (open) nodes += size;
  }
}

function links() {
  const made = [];
  const leftOf = (signal) => {
    const group = groups.get(signal.group);
    return group.open ? signal.element : group.head;
  };
  for (const one of instruments.values()) {
    const group = groups.get(one.group);
    for (const name of one.signals) {
      if (signals.has(name)) made.push({ signal: name, from: leftOf(signals.get(name)), to: group.open ? one.element : group.sum });
    }
  }
  for (const one of listeners.values()) {
    if (one.kind === "metrics") continue; // its edges are those of the instruments
    for (const name of one.signals) {
      if (signals.has(name)) made.push({ signal: name, from: leftOf(signals.get(name)), to: one.element, failing: one.failures > 0 });
    }
  }
  return made;
}

/** Draw the edges anew, once a frame. */
export function layout() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if ($("map-body").clientWidth) drawEdges(links());
  });
}

/** Show the counts of this second; what has counted up without an event in the feed is lit as well. */
export function updateMap({ signals: counts = {}, series = {}, failures = {} }) {
  let failing = false;
  for (const one of signals.values()) {
    const now = counts[one.name] ?? one.count;
    if (now > one.count) light(one.name);
    one.count = now;
    write(one.counter, now ? number(now) : "never");
    one.element.classList.toggle("untold", !now);
  }
  for (const one of instruments.values()) {
    one.series = series[one.family] ?? one.series;
    write(one.counter, one.limit ? `${number(one.series)} of ${number(one.limit)}` : number(one.series));
    one.element.classList.toggle("untold", !one.series);
  }
  for (const one of listeners.values()) {
    const now = failures[one.name] ?? one.failures;
    failing ||= now > 0 !== one.failures > 0;
    one.failures = now;
    write(one.counter, now ? `✕ ${number(now)} failed` : one.kind === "metrics" ? "the middle" : one.kind || "");
    one.element.classList.toggle("failing", now > 0);
  }
  for (const group of groups.values()) sumUp(group);
  putOut();
  if (failing) layout();
}

function sumUp(group) {
  const total = group.signals.reduce((sum, one) => sum + one.count, 0);
  const used = group.instruments.reduce((sum, one) => sum + (one.series || 0), 0), most = group.instruments.reduce((sum, one) => sum + (one.limit || 0), 0);
  write(group.count, group.signals.length ? (total ? number(total) : "never") : "");
  group.head.classList.toggle("untold", group.signals.length > 0 && !total);
  write(group.sum, !group.instruments.length ? "no instrument" : `${group.instruments.length} instrument${group.instruments.length === 1 ? "" : "s"} · ${number(used)} of ${number(most)} series`);
}

/** Follow a signal: its edges alone are drawn, and its group is opened. */
export function follow(name) {
  pinned = name;
  for (const one of signals.values()) one.element.setAttribute("aria-pressed", String(one.name === name));
  $("map-unpin").hidden = !name;
  const signal = signals.get(name);
  if (signal) {
    setOpen(groups.get(signal.group), true);
    showDetail(signal.element);
  }
  pinEdges(name);
  layout();
  return signal;
}

/** Open the map at a signal. */
export function showSignal(name) {
  const signal = follow(name);
  if (!signal) return;
  signal.element.scrollIntoView({ block: "center" });
  signal.element.focus({ preventScroll: true });
}

function showDetail(element) {
  const key = element.dataset.key, all = { signals, instruments, listeners };
  const detail = element.classList.contains("signal") ? describeSignal(signals.get(key), all)
    : element.classList.contains("instrument") ? describeInstrument(instruments.get(key))
      : element.classList.contains("listener") ? describeListener(listeners.get(key))
        : describeGroup([...groups.values()].find((group) => group.head === element));
  $("map-detail").replaceChildren(...detail);
}

/** Listen to pointer, focus and keys. */
export function startMap() {
  for (const name of ["pointerover", "focusin"]) {
    $("map-body").addEventListener(name, ({ target }) => {
      const element = target.closest(".node");
      if (element) showDetail(element);
    });
  }
  $("map-body").addEventListener("keydown", (event) => {
    if (event.key === "Escape") follow("");
    else moveBetween(event, links);
  });
  $("map-unpin").addEventListener("click", () => { follow(""); $("map-all").focus(); });
  $("map-all").addEventListener("click", () => {
    const open = [...groups.values()].some((group) => !group.open);
    for (const group of groups.values()) setOpen(group, open);
    write($("map-all"), open ? "Close all groups" : "Open all groups");
    layout();
  });
  new ResizeObserver(layout).observe($("map-body"));
  setInterval(putOut, 300);
}
