"use strict";

// Tables: a click on the head of a column sorts by it, a second one the other way round.
const compared = new Intl.Collator("en", { numeric: true });
const number = text => parseFloat(text.replace(/^([-+]?)inf.*/, "$1Infinity"));
function bySort(index, sign) {
  return (one, other) => {
    const [a, b] = [one, other].map(row => (row.cells[index]?.textContent ?? "").trim());
    if (!a || !b) return !a - !b; // what is missing comes last, either way
    const [x, y] = [number(a), number(b)];
    return sign * (Number.isNaN(x) || Number.isNaN(y) ? compared.compare(a, b) : x - y || compared.compare(a, b));
  };
}
document.addEventListener("click", event => {
  const head = event.target.closest("table.sortable th");
  if (!head) return;
  const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const body = head.closest("table").tBodies[0];
  body.append(...[...body.rows].sort(bySort(head.cellIndex, sign)));
});

// Pictures: a click shows one as large as the window, a click on that in its own size.
const dialog = document.querySelector("dialog"), whole = dialog.querySelector("img");
document.addEventListener("click", event => {
  const small = event.target.closest(".enlarge")?.querySelector("img");
  if (!small) return;
  whole.src = small.src;
  whole.alt = dialog.querySelector("span").textContent = small.alt;
  whole.className = "";
  dialog.showModal();
});
whole.addEventListener("click", () => whole.classList.toggle("full"));
dialog.addEventListener("click", event => event.target === dialog && dialog.close());

// Charts: the legend tells the values at the step under the pointer, or where the arrow keys lead.
for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg"), lines = JSON.parse(svg.dataset.lines);
  const cursor = svg.querySelector(".cursor"), marks = svg.querySelectorAll("circle");
  const told = chart.querySelectorAll("output"), at = chart.querySelector(".at");
  const places = new Map(lines.flat().map(([step, , x]) => [step, x])); // of each step, left to right
  const steps = [...places.keys()].sort((a, b) => a - b);
  const nearest = (points, of, where) =>
    points.reduce((best, point) => Math.abs(of(point) - where) < Math.abs(of(best) - where) ? point : best);
  let current = steps.length - 1;

  const mark = (index, [step, value, x, y], shown) => {
    marks[index].setAttribute("cx", x);
    marks[index].setAttribute("cy", y);
    told[index].textContent = Number(value.toPrecision(4)) + (shown === undefined || step === shown ? "" : ` (step ${step})`);
  };
  const point = index => {
    current = Math.max(0, Math.min(steps.length - 1, index));
    const step = steps[current], x = places.get(step);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    chart.classList.add("pointed");
    at.textContent = `step ${step}`;
    lines.forEach((points, line) => mark(line, nearest(points, found => found[0], step), step));
  };
  const leave = () => {
    chart.classList.remove("pointed");
    at.textContent = "last";
    lines.forEach((points, line) => mark(line, points.at(-1)));
  };
  const follow = event => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    point(steps.indexOf(nearest(steps, step => places.get(step), x)));
  };
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  svg.addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape") leave();
    if (by === undefined) return;
    event.preventDefault();
    const started = chart.classList.contains("pointed");
    point(Number.isFinite(by) ? (started ? current + by : by > 0 ? 0 : steps.length - 1) : by);
  });
}
