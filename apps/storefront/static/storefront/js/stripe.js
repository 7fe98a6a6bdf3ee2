// Stripe.js, from where the shop's settings say: Stripe's own, or the sandbox's in its place.
// Card numbers are typed into Stripe's fields and go to Stripe: neither this page nor the shop sees them.
import { config } from "./api.js";
import { byId, fill, h } from "./dom.js";

let loading = null;

/** Stripe's object for this shop's key. Rejects with a sentence when it cannot be had; the next call tries again. */
export function stripe() {
  loading ||= load().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load() {
  const { publishable_key: key, stripe_js_url: url } = await config();
  if (!key) throw new Error("This shop cannot take cards here: its publishable key is not set.");
  await new Promise((done, failed) => {
    const script = h("script", { src: url, onload: done, onerror: failed });
    document.head.append(script);
  }).catch(() => {
    throw new Error("The card form cannot be loaded at the moment. Check your connection and try again.");
  });
  return window.Stripe(key);
}

/** What a refusal of Stripe.js becomes: its sentences are meant for buyers. */
export function settled(answer) {
  if (answer.error) throw new Error(answer.error.message || "The card could not be used. Try another one.");
  return answer;
}

/** Put Stripe's card field into the element with this id; complaints about what is typed go below it. */
export async function cardField(id) {
  const place = byId(id);
  place.setAttribute("aria-busy", "true");
  try {
    const element = (await stripe()).elements().create("card", { style: look(), disableLink: true });
    element.mount(place);
    element.on("change", ({ error }) => fill(byId(`${id}-error`), error?.message));
    return element;
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** A place for the card field, with its label. */
export function cardPlace(id) {
  return h(
    "div",
    { class: "field" },
    h("p", { class: "label", id: `${id}-label` }, "Card"),
    h("div", { id, class: "card-place", role: "group", "aria-labelledby": `${id}-label` }),
    h("p", { id: `${id}-error`, class: "field-error" }),
  );
}

// Stripe's field is a page of its own in a frame: it takes colours by value.
function look() {
  const of = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const base = { color: of("--ink"), iconColor: of("--soft"), fontSize: "16px", "::placeholder": { color: of("--soft") } };
  return { base, invalid: { color: of("--bad"), iconColor: of("--bad") } };
}
