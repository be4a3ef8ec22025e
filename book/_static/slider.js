// Shows the state of a figure that its slider stands on.
for (const slider of document.querySelectorAll(".book-slider")) {
  const input = slider.querySelector("input");
  const name = slider.querySelector(".book-slider-value");
  const states = slider.querySelectorAll("[data-state]");
  input.addEventListener("input", () => {
    const shown = states[input.valueAsNumber];
    for (const state of states) {
      state.classList.toggle("shown", state === shown);
    }
    name.textContent = shown.dataset.state;
    input.setAttribute("aria-valuetext", shown.dataset.state);
  });
}
