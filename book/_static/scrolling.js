// What scrolls sideways in its own box can be scrolled with the keyboard too: it becomes a stop of
// the Tab key, and only as long as it is wider than its box. The theme does this once, on loading;
// formulas are wide only after they are typeset, and what is folded away only when it is opened.
const BOXES = [
  "pre",
  ".bd-article mjx-container[display]",
  ".bd-article .pst-scrollable-table-container",
  ".bd-article .cell_output > .output",
].join(", ");
const NAMES = { "MJX-CONTAINER": "Formula, scrolls sideways", DIV: "Scrolls sideways" };

function update() {
  for (const box of document.querySelectorAll(BOXES)) {
    const scrolls = box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible";
    if (scrolls === (box.tabIndex === 0)) continue;
    if (scrolls) {
      box.tabIndex = 0;
    } else {
      box.removeAttribute("tabindex");
    }
    const name = NAMES[box.tagName];
    if (!name) continue;
    if (scrolls) {
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", name);
    } else {
      box.removeAttribute("role");
      box.removeAttribute("aria-label");
    }
  }
}

let waiting = 0;
function soon() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(update);
}

window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  update();
  document.addEventListener("toggle", soon, true); // toggle does not bubble
  window.addEventListener("resize", soon);
});
