// The first click puts the better end of a column on top, the second the other end, the third brings
// back the order of the report. A model without the number stays last.
for (const table of document.querySelectorAll("table.sheet")) {
  const [body] = table.tBodies;
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const label = row => row.cells[0].firstElementChild.textContent;
  heads.forEach((head, column) => {
    const key = row => parseFloat(row.cells[column].dataset.key);
    const differ = column
      ? (a, b) => key(a) - key(b)
      : (a, b) => label(a).localeCompare(label(b), undefined, {numeric: true});
    const lacking = row => column > 0 && isNaN(key(row));
    const ways = ["ascending", "descending"];
    if (head.dataset.better === "higher") ways.reverse();
    const button = document.createElement("button");
    button.type = "button";
    button.append(head.firstElementChild);
    head.prepend(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const way = now ? ways[ways.indexOf(now) + 1] : ways[0];
      const sign = way === "descending" ? -1 : 1;
      const order = (a, b) => lacking(a) - lacking(b) || sign * differ(a, b);
      heads.forEach(other => other.removeAttribute("aria-sort"));
      if (way) head.setAttribute("aria-sort", way);
      body.append(...(way ? [...rows].sort(order) : rows));
    });
  });
}
