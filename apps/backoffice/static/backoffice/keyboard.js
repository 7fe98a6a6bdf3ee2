// The theme opens menus and filters with elements that only a mouse reaches. They become buttons for the keyboard here.
"use strict";

const NAMES = { dock_to_right: "Menu of pages", close: "Close", more_horiz: "What can be done" };
const SWITCH = "[x-on\\:click]:not(a[href], button, input, select, textarea, #changelist-filter-close)";

const SHOWN_AFTER_MS = 80;

let opener = null;

function skipLink() {
  const page = document.getElementById("content");
  if (page && document.getElementById("nav-sidebar")) {
    const skip = Object.assign(document.createElement("a"), { href: "#content", className: "desk-skip" });
    skip.textContent = "Skip the menu";
    document.body.prepend(skip);
    page.tabIndex = -1;
  }
}

function mend() {
  for (const element of document.querySelectorAll(SWITCH)) {
    element.tabIndex = 0;
    element.setAttribute("role", "button");
  }
  for (const icon of document.querySelectorAll("[x-on\\:click]")) {
    const name = NAMES[icon.textContent.trim()];
    if (name) icon.setAttribute("aria-label", name);
  }
}

// The theme says nothing of what belongs to which button, but for what the button's own code names.
function openedBy(element) {
  const code = element.getAttribute("x-on:click");
  if (code.startsWith("filterOpen")) return document.getElementById("changelist-filter");
  if (code.startsWith("sidebar")) return document.getElementById("nav-sidebar");
  return code.startsWith("openUserLinks") ? element.parentElement.querySelector("nav") : null;
}

function focusInside(part) {
  const first = [...part.querySelectorAll("a[href], button, input:not([type=hidden]), select, [tabindex='0']")].find(
    (each) => each.checkVisibility({ visibilityProperty: true }),
  );
  if (first) first.focus();
}

function press(element) {
  element.click();
  const part = openedBy(element);
  if (!part) return;
  // The theme shows it some frames later.
  setTimeout(() => {
    if (part.checkVisibility() && !part.contains(element)) {
      opener = element;
      focusInside(part);
    } else goBack();
  }, SHOWN_AFTER_MS);
}

function goBack() {
  if (opener && opener.checkVisibility()) opener.focus();
  opener = null;
}

// A dialog comes from the server: whoever asked for it by key goes on inside of it, and back when it is left.
function enterDialog(event) {
  const dialog = event.target;
  if (dialog.id !== "modal-content") return;
  mend();
  dialog.setAttribute("role", "dialog");
  dialog.setAttribute("aria-modal", "true");
  opener = document.activeElement;
  setTimeout(() => focusInside(dialog.querySelector("form")), SHOWN_AFTER_MS);
}

// The theme hides the page until its script has run, and what is hidden takes no focus.
function focusFirst() {
  const first = document.querySelector("[autofocus]");
  if (first) first.focus();
}

document.addEventListener("alpine:initialized", () => setTimeout(focusFirst));
document.addEventListener("DOMContentLoaded", skipLink);
document.addEventListener("DOMContentLoaded", mend);
document.addEventListener("htmx:afterSettle", enterDialog);
document.addEventListener("keydown", (event) => {
  if ((event.key === "Enter" || event.key === " ") && event.target.matches(SWITCH)) {
    event.preventDefault();
    press(event.target);
  } else if (event.key === "Escape" && opener) {
    document.body.click(); // Menus close when something outside of them is clicked; the sidebar does not.
    if (opener.matches("[x-on\\:click^=sidebar]")) opener.click();
    goBack();
  }
});
