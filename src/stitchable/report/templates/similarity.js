"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  for (const map of document.querySelectorAll(".map")) {
    const told = map.parentElement.nextElementSibling;
    const rows = [...map.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")]);
    rows.forEach((cells, y) => cells.forEach((cell, x) => {
      const show = () => { told.textContent = cell.dataset.t; };
      cell.setAttribute("aria-label", cell.dataset.t);
      cell.tabIndex = x || y ? -1 : 0;  // a map is one stop of the Tab key
      cell.addEventListener("pointerenter", show);
      cell.addEventListener("focus", show);
      cell.addEventListener("keydown", (event) => {
        const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], Home: [0, -x], End: [0, cells.length - 1 - x] }[event.key];
        if (!step) return;
        event.preventDefault();
        const next = rows[y + step[0]]?.[x + step[1]];
        if (!next) return;
        cell.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      });
    }));
  }
})();
