// A card beside a link shows what stands at its other end.
//
// A card has links and formulas of its own, so it is no tooltip; it opens
// without being asked for, so it is no dialog that takes the focus. It is a
// note that describes its link: a screen reader says it with the link. It
// stands right behind the link in the page, so that reading on and the Tab
// key lead into it. As a popover it lies above everything, cut off by nothing.
const IN = 250; // ms that the mouse rests on a link before its card shows
const OUT = 300; // ms to reach the card, or another link
const GAP = 6; // px between link and card
const EDGE = 12; // px between card and window

const templates = new Map();
// Older browsers have no popovers: there a link stays a link.
if (HTMLElement.prototype.showPopover) {
  for (const template of document.querySelectorAll("template.hover-card")) {
    templates.set(template.dataset.for, template);
  }
}

let link, card; // those shown
let timer;
let finger = false; // whether the last press was by one
let returning = false;

const isInside = (node) => card?.contains(node) || link?.contains(node);

function linkWithCard(node) {
  const found = node.closest("article a[href]");
  if (!found || card?.contains(found)) return null;
  const href = found.getAttribute("href");
  if (!templates.has(href)) return null;
  if (!href.startsWith("#")) return found;
  const box = document.getElementById(href.slice(1)).getBoundingClientRect();
  return box.top >= 0 && box.top < innerHeight ? null : found; // in view
}

function hide() {
  clearTimeout(timer);
  card?.remove();
  link?.removeAttribute("aria-describedby");
  link = card = null;
}

function show(to, x) {
  hide();
  link = to;
  card = document.createElement("div");
  card.id = card.className = "hover-card";
  card.setAttribute("role", "note");
  card.setAttribute("aria-label", link.textContent);
  card.popover = "manual";
  card.append(templates.get(to.getAttribute("href")).content.cloneNode(true));
  card.classList.toggle("by-finger", finger);
  link.after(card);
  link.setAttribute("aria-describedby", card.id);
  card.showPopover();
  place(x);
  if (card.scrollHeight > card.clientHeight) card.tabIndex = 0;
}

// Below the link or above it, where there is room; never over it.
function place(x) {
  const { clientWidth, clientHeight } = document.documentElement;
  const { top, bottom } = link.getBoundingClientRect();
  const below = clientHeight - bottom - GAP - EDGE;
  const above = top - GAP - EDGE;
  const isBelow = card.offsetHeight <= below || below >= above;
  card.style.setProperty("--room", `${isBelow ? below : above}px`);
  const y = isBelow ? bottom + GAP : top - GAP - card.offsetHeight;
  // a link that wraps has a box per line: take the one that is pointed at
  const boxes = [...link.getClientRects()];
  const box = boxes.find((b) => b.left <= x && x <= b.right) ?? boxes[0];
  const text = link.closest("article").getBoundingClientRect();
  const right = Math.min(text.right, clientWidth - EDGE);
  const left = Math.max(EDGE, Math.min(box.left, right - card.offsetWidth));
  card.style.top = `${y + scrollY}px`;
  card.style.left = `${left + scrollX}px`;
}

function leave() {
  const focus = document.activeElement;
  if (!isInside(focus) || !focus.matches(":focus-visible")) hide();
}

document.addEventListener("pointerover", (event) => {
  if (event.pointerType === "touch" || event.buttons) return;
  clearTimeout(timer);
  const to = linkWithCard(event.target);
  if (isInside(event.target)) return;
  if (!to) timer = setTimeout(leave, OUT);
  else if (!to.contains(event.relatedTarget)) {
    timer = setTimeout(show, IN, to, event.clientX);
  }
});
document.documentElement.addEventListener("pointerleave", (event) => {
  if (event.pointerType === "touch") return;
  clearTimeout(timer);
  timer = setTimeout(leave, OUT);
});

document.addEventListener("focusin", (event) => {
  const to = linkWithCard(event.target);
  if (returning || isInside(event.target)) return;
  if (to?.matches(":focus-visible")) show(to);
  else hide();
});

document.addEventListener("keydown", (event) => {
  finger = false;
  if (event.key !== "Escape" || !card) return;
  const back = card.contains(document.activeElement) && link;
  hide();
  returning = true;
  if (back) back.focus({ preventScroll: true });
  returning = false;
});

// The first tap shows the card, a second one follows the link.
document.addEventListener("pointerdown", (event) => {
  finger = event.pointerType === "touch";
  const isOnLink = finger && link?.contains(event.target);
  if (!card?.contains(event.target) && !isOnLink) hide();
});
document.addEventListener("click", (event) => {
  const to = finger && linkWithCard(event.target);
  if (!to || to === link) return;
  event.preventDefault();
  show(to, event.clientX);
});

addEventListener("pagehide", hide);
