"use strict";
(() => {
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();

  const compare = (first, second, numeric) =>
    numeric ? Number(first) - Number(second) : first.localeCompare(second, "en", { numeric: true });

  const sort = (table, column) => {
    const heads = [...table.tHead.rows[0].cells];
    const head = heads[column];
    const descending = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const numeric = head.dataset.sort === "number";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row, column), row]);
    // Rows without a value stay below, whichever way the others go.
    rows.sort(([first], [second]) => {
      if (first === "" || second === "") return (first === "") - (second === "");
      return (descending ? -1 : 1) * compare(first, second, numeric);
    });
    body.append(...rows.map(([, row]) => row));
    const said = document.getElementById("said");
    if (said) said.textContent = `sorted by ${head.textContent.trim()}, ${head.getAttribute("aria-sort")}`;
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.querySelector("button")?.addEventListener("click", () => sort(table, column));
    });
  }

  const runs = [...document.querySelectorAll("details.run")];
  for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;

  const filter = document.getElementById("filter");
  if (filter) {
    const rows = [...document.querySelectorAll("#runs tbody tr")];
    const count = document.getElementById("count");
    const update = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      count.textContent = words.length ? `${shown} of ${rows.length} runs` : "";
    };
    filter.addEventListener("input", update);
    update();
  }

  for (const [id, open] of [["open-all", true], ["close-all", false]]) {
    document.getElementById(id)?.addEventListener("click", () => runs.forEach((run) => { run.open = open; }));
  }

  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  };
  window.addEventListener("hashchange", reveal);
  reveal();
})();
