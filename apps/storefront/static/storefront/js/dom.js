// Building the page. Everything that comes from the API goes in as text, never as markup.

/** An element: h("a", { class: "x", href: "/", onclick: f }, "text", child). Null and false children are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...kept(children));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...kept(children));
  element.removeAttribute("aria-busy");
  return element;
}

function kept(children) {
  return children.flat().filter((child) => child != null && child !== false);
}

export const byId = (id) => document.getElementById(id);

/** The one heading of the page, and the window's title with it. */
export function title(text) {
  document.querySelector("h1").textContent = text;
  document.title = `${text} · Proshop demo`;
}

/** A message that stays. A problem interrupts a screen reader, good news waits for its turn. */
export function notice(kind, ...children) {
  return h("div", { class: `notice notice-${kind}`, role: kind === "problem" ? "alert" : "status" }, ...children);
}

/** Ask before something that cannot be undone. True when the answer is yes; the focus comes back by itself. */
export function confirmed({ title, text, yes, no = "Keep it" }) {
  const dialog = h(
    "dialog",
    { class: "panel", "aria-labelledby": "dialog-title" },
    h("h2", { id: "dialog-title" }, title),
    h("p", {}, text),
    h(
      "form",
      { method: "dialog", class: "row" },
      h("button", { class: "button danger", value: "yes" }, yes),
      h("button", { class: "button quiet", value: "no", autofocus: true }, no),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
  });
}

/** What somebody sees who is not signed in, and would have to be. */
export function signInHint(text) {
  const here = location.pathname + location.search;
  return h(
    "p",
    { class: "panel hint" },
    h("span", {}, text),
    h("a", { class: "button", href: `/sign-in/?next=${encodeURIComponent(here)}` }, "Sign in"),
  );
}

/** A short message in the corner, read out by screen readers. */
export function toast(text, link) {
  const shown = h("div", { class: "toast" }, h("span", {}, text), link && h("a", { href: link.href }, link.text));
  const shelf = byId("toasts");
  shelf.replaceChildren(shown);
  setTimeout(() => shown.remove(), 7000);
}

/** Links to newer and older pages of a list of this person's. */
export function pages(found, page) {
  if (!found.previous && !found.next) return null;
  const link = (to, words) => h("a", { class: "button quiet", href: `${location.pathname}?page=${to}` }, words);
  return h(
    "nav",
    { class: "pages", "aria-label": "Pages" },
    found.previous ? link(page - 1, "Newer") : h("span"),
    found.next ? link(page + 1, "Older") : h("span"),
  );
}

/** A picture, or the first letter of the name where there is none or it does not load. */
export function picture(url, name, size = "card") {
  const letter = () => h("span", { class: `picture picture-${size} letter`, "aria-hidden": "true" }, name.slice(0, 1));
  if (!url) return letter();
  const image = h("img", { class: `picture picture-${size}`, src: url, alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(letter()), { once: true });
  return image;
}

/** Run `work` while the button says so and cannot be pressed twice. */
export async function busy(button, words, work) {
  const before = [...button.childNodes];
  button.disabled = true;
  button.replaceChildren(h("span", { class: "spinner", "aria-hidden": "true" }), words);
  let leaving = false;
  try {
    leaving = (await work()) === LEAVING;
  } finally {
    // On the way to another page the button stays as it is: nothing flickers and nothing is pressed again.
    if (!leaving) {
      button.disabled = false;
      button.replaceChildren(...before);
    }
  }
}

export const LEAVING = Symbol("leaving the page");
