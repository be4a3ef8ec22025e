// Copied text has each formula as TeX, whole, even if a part was selected.
document.addEventListener("copy", (event) => {
  const selection = getSelection();
  if (selection.isCollapsed) return;
  const range = selection.getRangeAt(0).cloneRange();
  const formulaAt = (node) =>
    (node.closest ? node : node.parentElement).closest("[data-tex]");
  const first = formulaAt(range.startContainer);
  const last = formulaAt(range.endContainer);
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  const copy = document.createElement("div");
  copy.append(range.cloneContents());
  const formulas = copy.querySelectorAll("[data-tex]");
  if (!formulas.length) return;
  for (const formula of formulas) {
    formula.textContent = formula.dataset.tex;
    formula.style.whiteSpace = "pre";
  }
  document.body.append(copy); // innerText breaks lines as they are laid out
  event.clipboardData.setData("text/plain", copy.innerText.trim());
  event.clipboardData.setData("text/html", copy.innerHTML);
  copy.remove();
  event.preventDefault();
});
