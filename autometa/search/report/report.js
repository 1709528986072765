"use strict";
// The page is whole without this: it adds quicker tooltips, sorting and copying.
const tip = document.getElementById("tip");
document.addEventListener("pointerover", (event) => {
  const shape = event.target.closest("path, [data-tip]");
  const title = shape && shape.querySelector(":scope > title");
  const text = shape && (shape.dataset.tip || (title && title.textContent));
  tip.classList.toggle("on", Boolean(text));
  if (!text) return;
  // The browser's own tooltip would come on top of ours a second later.
  if (title) { shape.dataset.tip = text; title.remove(); shape.setAttribute("aria-label", text); }
  tip.textContent = text;
});
document.addEventListener("pointermove", (event) => {
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 18 + tip.offsetHeight < innerHeight;
  tip.style.left = Math.max(8, left) + "px";
  tip.style.top = (below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 10) + "px";
});
for (const head of document.querySelectorAll("th[data-sort]")) {
  head.tabIndex = 0;
  const sort = () => {
    const table = head.closest("table"), place = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.children[place].dataset.value ?? row.children[place].textContent.trim();
    const number = (text) => (text === "" ? NaN : Number(text));
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const x = key(a), y = key(b), m = number(x), n = number(y);
      if (Number.isNaN(m) !== Number.isNaN(n)) return Number.isNaN(m) ? 1 : -1;
      const order = Number.isNaN(m) ? x.localeCompare(y) : m - n;
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows);
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
}
for (const button of document.querySelectorAll(".block button")) {
  if (!navigator.clipboard) { button.hidden = true; continue; }
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentNode.querySelector("pre").textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}
