/** The arrow keys in the map: up and down inside a column, left and right along an edge. */

const COLUMNS = ["map-left", "map-middle", "map-listeners"];

const columnOf = (element) => COLUMNS.findIndex((name) => element.closest(`.${name}`));
const isShown = (element) => element.offsetParent !== null;

function go(event, element) {
  if (!element) return;
  event.preventDefault();
  element.focus();
}

/** Move the focus by a key, if it is an arrow; `links` returns the edges. */
export function moveBetween(event, links) {
  const here = event.target.closest(".node");
  if (!here) return;
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (by) {
    const column = [...event.currentTarget.querySelectorAll(`.${COLUMNS[columnOf(here)]} .node`)].filter(isShown);
    go(event, column[column.indexOf(here) + by]);
  } else if (event.key === "ArrowRight") {
    go(event, links().filter((link) => link.from === here).map((link) => link.to).find((to) => to.matches(".node")));
  } else if (event.key === "ArrowLeft") {
    go(event, links().find((link) => link.to === here)?.from);
  }
}
