"use strict";
(() => {
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const one = (query, within = document) => within.querySelector(query);
  const joints = JSON.parse(one("#joints").textContent);
  const plot = one(".plot"), tip = one(".tip"), ring = one(".ring"), picked = one(".picked");
  const diagram = one(".path-diagram"), body = one("#stitches tbody");
  const middle = (point) => {
    const box = one("circle, .now", point).getBoundingClientRect();
    return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  };
  const byId = new Map(), facts = new Map();
  document.documentElement.classList.add("scripted");

  // Points: the title becomes our own tip, and the chart is one stop of the Tab key.
  const points = all(".point").sort((a, b) => middle(a).x - middle(b).x);
  points.forEach((point, place) => {
    const title = one("title", point);
    const [stitch, numbers] = title.textContent.split("\n");
    title.remove();
    byId.set(stitch, point);
    facts.set(point, { stitch, numbers });
    point.setAttribute("aria-label", stitch + ", " + numbers);
    point.setAttribute("tabindex", "-1");
    point.addEventListener("pointerenter", () => show(point));
    point.addEventListener("pointerleave", hide);
    point.addEventListener("focus", () => show(point));
    point.addEventListener("blur", hide);
    point.addEventListener("click", (event) => { event.preventDefault(); select(point); });
    point.addEventListener("keydown", (event) => {
      const last = points.length - 1;
      const to = { ArrowRight: place + 1, ArrowUp: place + 1, ArrowLeft: place - 1, ArrowDown: place - 1, Home: 0, End: last }[event.key];
      if (event.key === " ") { event.preventDefault(); select(point); }
      if (to === undefined) return;
      event.preventDefault();
      points[Math.min(Math.max(to, 0), last)].focus();
    });
  });

  function show(point) {
    const { stitch, numbers } = facts.get(point);
    const name = document.createElement("code");
    name.textContent = stitch;
    tip.replaceChildren(name, document.createElement("br"), numbers);
    tip.hidden = false;
    const frame = plot.getBoundingClientRect(), at = middle(point);
    const left = at.x - frame.left - tip.offsetWidth / 2, under = at.y - frame.top + 18;
    tip.style.left = Math.min(Math.max(left, 0), frame.width - tip.offsetWidth) + "px";
    tip.style.top = (under + tip.offsetHeight > frame.height - 40 ? under - tip.offsetHeight - 36 : under) + "px";
  }
  function hide() { tip.hidden = true; }

  function select(point) {
    const { stitch, numbers } = facts.get(point);
    for (const other of points) {
      other.toggleAttribute("aria-current", other === point);
      other.setAttribute("tabindex", other === point ? "0" : "-1");
    }
    const mark = one("circle, .now", point);
    ring.setAttribute("cx", mark.getAttribute("cx") || mark.getAttribute("x"));
    ring.setAttribute("cy", mark.getAttribute("cy") || mark.getAttribute("y"));
    for (const row of body.rows) row.classList.toggle("selected", "#" + row.id === point.getAttribute("href"));
    one("code", picked).textContent = stitch;
    one("span", picked).textContent = numbers;
    draw(stitch);
  }

  // The diagram holds every block already: fill those that run, and put in the path's joints.
  function draw(stitch) {
    const parts = stitch.split("+").map((text) => {
      const [, anchor, start, stop] = text.match(/^(.+)\[(\d+):(\d+)\]$/);
      return { anchor, start: +start, stop: +stop };
    });
    for (const row of all("[data-anchor]", diagram)) {
      const runs = parts.filter((part) => part.anchor === row.dataset.anchor);
      const on = (kind, yes) => one(kind, row).classList.toggle("on", yes);
      on(".stem", parts[0].anchor === row.dataset.anchor);
      on(".head", parts[parts.length - 1].anchor === row.dataset.anchor);
      all(".block", row).forEach((block, i) => block.classList.toggle("on", runs.some((part) => part.start <= i && i < part.stop)));
    }
    all(".joint", diagram).forEach((joint) => joint.remove());
    for (let i = 1; i < parts.length; i++) {
      const path = document.createElementNS(diagram.namespaceURI, "path");
      path.setAttribute("class", "joint");
      path.setAttribute("d", joints[parts[i - 1].anchor + ":" + parts[i - 1].stop + "+" + parts[i].anchor + ":" + parts[i].start]);
      diagram.append(path);
    }
    diagram.setAttribute("aria-label", "Path of " + stitch);
    const scroller = diagram.parentElement, first = one(".joint", diagram);
    if (first) {
      const joint = first.getBoundingClientRect(), frame = scroller.getBoundingClientRect();
      scroller.scrollLeft += joint.left + joint.width / 2 - frame.left - frame.width / 2;
    }
  }

  // Table: ids select, headings sort.
  for (const row of body.rows) {
    const id = one("code", row), button = document.createElement("button");
    button.type = "button";
    id.replaceWith(button);
    button.append(id);
    button.addEventListener("click", () => select(byId.get(id.textContent)));
  }
  const heads = all("#stitches thead th");
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => {
        const cell = row.cells[column], number = parseFloat(cell.dataset.v || cell.textContent);
        return Number.isNaN(number) ? cell.textContent : number;
      };
      const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
      const places = (a, b) => (a === "") - (b === "") || (down ? -1 : 1) * order(a, b);  // what is missing comes last
      body.append(...[...body.rows].sort((a, b) => places(value(a), value(b))));
    });
  });
  select(byId.get(one("code", picked).textContent));
})();
