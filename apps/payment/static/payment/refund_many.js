// Keeps the totals in step with the amounts that are typed in, and lets the form be sent once.
"use strict";

const form = document.querySelector("[data-refunds]");

// An amount as a whole number of the currency's smallest decimals; null for what is no amount.
function parse(text, decimals) {
  const found = /^(\d{1,12})(?:\.(\d{1,3}))?$/.exec(text.trim());
  if (!found) return text.trim() === "" ? 0n : null;
  const fraction = found[2] || "";
  if (fraction.length > decimals) return null;
  return BigInt(found[1] + fraction.padEnd(decimals, "0"));
}

function show(sum, decimals) {
  const digits = sum.toString().padStart(decimals + 1, "0");
  return decimals ? `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}` : digits;
}

function add() {
  for (const output of form.querySelectorAll("[data-total]")) {
    const decimals = Number(output.dataset.decimals);
    const inputs = form.querySelectorAll(`[data-amount="${output.dataset.total}"] input`);
    const amounts = [...inputs].map((input) => parse(input.value, decimals));
    output.textContent = amounts.includes(null) ? "?" : show(amounts.reduce((a, b) => a + b, 0n), decimals);
  }
}

form.addEventListener("input", add);
form.addEventListener("submit", () => {
  for (const button of form.querySelectorAll("button")) button.disabled = true;
});
window.addEventListener("pageshow", () => {
  for (const button of form.querySelectorAll("button")) button.disabled = false;
  add();
});
