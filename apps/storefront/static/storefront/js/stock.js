// How much is left, said only where it matters to a buyer.
import { h } from "./dom.js";

const FEW = 5;

export function stockNote(available) {
  if (available === null || available > FEW || available < 1) return null;
  return h("p", { class: "few" }, available === 1 ? "The last one" : `Only ${available} left`);
}
