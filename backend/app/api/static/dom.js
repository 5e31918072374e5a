/** Elements: what comes from the API becomes text nodes, never markup. */

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "object" ? child : String(child))));
  return element;
}

/** Return a new element; a function among the attributes listens to the event of its name. */
export const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** Return a new element of SVG. */
export const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Set the text of an element, if it is another one: what does not change keeps a reader's selection. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Give a container these children in this order; those that stay where they are keep focus and selection. */
export function arrange(container, children) {
  const wanted = new Set(children);
  for (const child of [...container.children]) if (!wanted.has(child)) child.remove();
  const focused = document.activeElement;
  children.forEach((child, at) => {
    if (container.children[at] !== child) container.insertBefore(child, container.children[at] || null);
  });
  if (focused && focused !== document.activeElement && container.contains(focused)) focused.focus({ preventScroll: true });
}

const MARKS = { completed: "✓", success: "✓", failed: "✕", error: "✕", timeout: "✕", rate_limited: "✕", abandoned: "✕",
  cancelled: "⊘", queued: "⋯", running: "▸" };

/** Return a state's name with its sign: colour is never the only thing that says it. */
export const state = (name) => make("span", { class: `state ${name}` },
  make("span", { "aria-hidden": "true" }, `${MARKS[name] || "·"} `), name.replaceAll("_", " "));

export const markOf = (name) => MARKS[name] || "·";

/** Put a text on the clipboard; where the page is not served securely, by the older way. */
export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* not allowed: the older way */ }
  }
  const area = make("textarea", { class: "offscreen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** Return a button that copies a text, and says so for two seconds. */
export function copyButton(label, text) {
  const button = make("button", { type: "button", class: "small", "aria-label": label }, "Copy");
  button.addEventListener("click", async () => {
    const done = await copy(typeof text === "function" ? text() : text);
    button.textContent = done ? "Copied" : "Not copied";
    button.focus({ preventScroll: true });
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return button;
}
