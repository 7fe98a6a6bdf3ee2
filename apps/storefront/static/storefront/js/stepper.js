// A quantity with buttons for one less and one more.
import { h } from "./dom.js";

const MOST = 999; // of one line, by the API's contract

/** `changed(quantity)` is called with whole numbers within the bounds only. */
export function stepper({ id, label, value, available = null, changed }) {
  const most = available === null ? MOST : Math.max(1, Math.min(MOST, available));
  const input = h("input", { id, type: "number", inputmode: "numeric", min: 1, max: most, value, "aria-label": label });
  const less = h("button", { type: "button", "aria-label": `One less: ${label}` }, "−");
  const more = h("button", { type: "button", "aria-label": `One more: ${label}` }, "+");

  const set = (wanted) => {
    const whole = Math.min(most, Math.max(1, Math.round(Number(wanted)) || 1));
    const differs = whole !== value;
    value = whole;
    input.value = String(whole);
    show();
    if (differs) changed(whole);
  };
  const show = () => {
    less.disabled = value <= 1;
    more.disabled = value >= most;
  };
  less.addEventListener("click", () => set(value - 1));
  more.addEventListener("click", () => set(value + 1));
  input.addEventListener("change", () => set(input.value));
  show();
  return h("div", { class: "stepper", role: "group", "aria-label": label }, less, input, more);
}
