// Groups digits while they are typed and keeps a second click from paying twice. The page works without it.
const group = (field, clean, format) =>
  field?.addEventListener("input", () => {
    const atEnd = field.selectionStart === field.value.length;
    const value = format(clean(field.value));
    if (atEnd && value !== field.value) field.value = value;
  });

const digits = (text) => text.replace(/\D/g, "");
const byFour = (text) => text.replace(/(.{4})(?=.)/g, "$1 ");

group(document.getElementById("number"), (text) => digits(text).slice(0, 19), byFour);
group(document.getElementById("iban"), (text) => text.replace(/\s/g, "").toUpperCase(), byFour);
group(
  document.getElementById("expiry"),
  (text) => digits(text).slice(0, 4),
  (text) => (text.length > 2 ? `${text.slice(0, 2)} / ${text.slice(2)}` : text),
);

const form = document.querySelector("form[data-pay]");
form?.addEventListener("submit", (event) => {
  if (form.classList.contains("sending")) event.preventDefault();
  form.classList.add("sending");
});
window.addEventListener("pageshow", () => form?.classList.remove("sending"));
document.querySelector("[role=alert]")?.scrollIntoView({ block: "center" });
document.querySelector("[aria-invalid]")?.focus();
