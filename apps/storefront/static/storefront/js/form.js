// Forms that speak to the API: errors stand beside their fields and are read out with them.
import { busy, byId, fill, h, notice } from "./dom.js";
import { explain } from "./messages.js";

/** A text field as the shells have them, for forms that a script builds. `input` are further attributes. */
export function field({ name, label, optional = false, ...input }) {
  const given = { id: name, name, type: "text", required: !optional, "aria-describedby": `${name}-error`, ...input };
  return h(
    "div",
    { class: "field" },
    h("label", { for: name }, label, optional && h("span", { class: "quiet-text" }, " optional")),
    h("input", given),
    h("p", { id: `${name}-error`, class: "field-error" }),
  );
}

/** One of several to choose from, or a box to tick, with all of its text as the label. */
export function option({ type = "radio", name, value, checked, text, note }) {
  const input = h("input", { type, name, value, id: `${name}-${value}`, checked });
  return h("label", { class: "option" }, input, h("span", {}, text), note && h("small", {}, note));
}

/** `send(values)` is called with the form's values; it may answer LEAVING when another page follows. */
export function onSend(form, words, send) {
  form.noValidate = true;
  // The button waits for this script: the shells take no posts.
  form.querySelector("[type=submit]").disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear(form);
    if (missing(form)) return;
    await busy(form.querySelector("[type=submit]"), words, async () => {
      try {
        return await send(Object.fromEntries(new FormData(form)));
      } catch (error) {
        refuse(form, error);
        return null;
      }
    });
  });
}

function clear(form) {
  fill(form.querySelector(".form-problem"));
  for (const input of form.elements) {
    if (!input.name) continue;
    input.removeAttribute("aria-invalid");
    const told = byId(`${input.id}-error`);
    if (told) fill(told);
  }
}

/** What the browser itself can see is wrong; the first such field gets the focus. */
function missing(form) {
  const wrong = [...form.elements].filter((input) => input.name && !input.checkValidity());
  wrong.forEach((input) => mark(input, input.validationMessage));
  wrong[0]?.focus();
  return wrong.length > 0;
}

function mark(input, text) {
  input.setAttribute("aria-invalid", "true");
  fill(byId(`${input.id}-error`), text);
}

function refuse(form, error) {
  let first = null;
  for (const [name, sentences] of Object.entries(error.fields || {})) {
    const input = form.elements[name];
    if (!input) continue;
    mark(input, sentences.join(" "));
    first ||= input;
  }
  if (first) first.focus();
  else fill(form.querySelector(".form-problem"), notice("problem", explain(error)));
}

/** Where to go after signing in: a path of this shop and nowhere else. */
export function next() {
  const wanted = new URLSearchParams(location.search).get("next") || "/";
  return /^\/(?![/\\])/.test(wanted) ? wanted : "/";
}
