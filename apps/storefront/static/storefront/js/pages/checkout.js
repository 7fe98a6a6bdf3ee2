// Paying without leaving the shop: with a saved card, or with a new one in Stripe's field on this page.
// The order is placed first, which keeps its items for the buyer; then a payment is opened over its total.
import { cart as follow, config, get, post } from "../api.js";
import { byId, fill, h, LEAVING, notice, signInHint } from "../dom.js";
import { field, onSend, option } from "../form.js";
import { explain } from "../messages.js";
import { money } from "../money.js";
import { leaveMessage, user } from "../session.js";
import { isPayable, methodName } from "../states.js";
import { cardField, cardPlace, settled, stripe } from "../stripe.js";

const place = byId("checkout");
const asked = new URLSearchParams(location.search).get("order") || "";
const NEW = "new";
const ADDRESS = ["name", "line1", "line2", "city", "state", "postal_code", "country"];
const label = document.createTextNode(""); // of the button that pays
let due = null; // the cart or order that is shown
let card = null;

function address(known, countries) {
  const names = new Intl.DisplayNames([document.documentElement.lang], { type: "region" });
  const line = (name, label, autocomplete, optional = false) =>
    field({ name, label, optional, autocomplete: `shipping ${autocomplete}`, value: known?.[name] || "" });
  return h(
    "fieldset",
    { class: "form" },
    h("legend", {}, "Where should it go?"),
    line("name", "Name", "name"),
    line("line1", "Street and number", "address-line1"),
    line("line2", "Apartment, suite", "address-line2", true),
    h("div", { class: "pair" }, line("postal_code", "Postal code", "postal-code", true), line("city", "City", "address-level2")),
    h(
      "div",
      { class: "pair" },
      line("state", "State or region", "address-level1", true),
      h(
        "div",
        { class: "field" },
        h("label", { for: "country" }, "Country"),
        h(
          "select",
          { id: "country", name: "country", autocomplete: "shipping country" },
          countries.map((code) => h("option", { value: code, selected: code === known?.country }, names.of(code))),
        ),
        h("p", { id: "country-error", class: "field-error" }),
      ),
    ),
  );
}

function payingWith(methods, problems) {
  const fresh = h(
    "div",
    { class: "form" },
    cardPlace("card"),
    option({ type: "checkbox", name: "save", value: "yes", text: "Save this card for next time" }),
  );
  const choice = h(
    "fieldset",
    { class: "options" },
    h("legend", {}, "How would you like to pay?"),
    methods.map((method, at) =>
      option({ name: "method", value: method.id, checked: at === 0, text: methodName(method), note: method.exp_year && `${String(method.exp_month).padStart(2, "0")}/${method.exp_year}` }),
    ),
    option({ name: "method", value: NEW, checked: !methods.length, text: methods.length ? "Another card" : "Card" }),
  );
  const follows = (value) => {
    fresh.hidden = value !== NEW;
    if (value !== NEW || card) return;
    card = cardField("card");
    card.catch((error) => {
      card = null; // chosen again, it is asked for again
      fill(problems, notice("problem", explain(error)));
    });
  };
  choice.addEventListener("change", (event) => follows(event.target.value));
  return { parts: [choice, fresh], start: () => follows(methods.length ? String(methods[0].id) : NEW) };
}

function summary() {
  return h(
    "section",
    { class: "panel summary", id: "summary", "aria-labelledby": "summary-title" },
    h("h2", { id: "summary-title" }, asked ? `Order ${asked}` : "Summary"),
    h(
      "ul",
      { class: "lines compact" },
      due.items.map((item) => h("li", { class: "line" }, h("div", { class: "line-text" }, h("h3", {}, item.name), h("p", { class: "quiet-text" }, `${item.quantity} ×`)), h("p", { class: "price line-total" }, money(item.line_total, due.currency)))),
    ),
    h("dl", { class: "totals" }, h("div", { class: "due" }, h("dt", {}, "Total"), h("dd", {}, money(due.total, due.currency)))),
    h("a", { class: "button quiet wide", href: asked ? `/orders/${asked}` : "/cart/" }, asked ? "Back to the order" : "Back to the cart"),
  );
}

/** What is to be paid is another sum than the one shown: it is shown before anything is paid. */
function showNew(found) {
  due = found;
  byId("summary").replaceWith(summary());
  label.data = payWords();
}

const payWords = () => `Pay ${money(due.total, due.currency)}`;

function show(found, methods, shipping) {
  due = found;
  label.data = payWords();
  const problems = h("div", { class: "form-problem" });
  const paying = payingWith(methods, problems);
  const form = h(
    "form",
    { class: "panel form", id: "pay" },
    shipping && address(shipping.known, shipping.countries),
    paying.parts,
    problems,
    h("button", { type: "submit", class: "button wide", disabled: true }, label),
    h("p", { class: "quiet-text" }, "Cards go to Stripe and are charged there. Your bank may ask you to confirm the payment."),
  );
  fill(place, h("div", { class: "columns" }, form, summary()));
  paying.start();
  onSend(form, "Paying…", async (values) => {
    try {
      return await pay(values, Boolean(shipping));
    } catch (error) {
      if (error.code === "already_paid" && error.orderNumber) return leave(error.orderNumber, explain(error));
      if (error.code === "price_changed") showNew(await follow(get("/api/cart/")));
      if (error.items?.length) throw new Error(explain(error, { lines: due.items, currency: due.currency }));
      // What is wrong with a part of the address stands beside it.
      const { shipping_address: parts } = error.fields || {};
      if (parts && !Array.isArray(parts)) error.fields = parts;
      throw error;
    }
  });
}

async function pay(values, ships) {
  const fresh = values.method === NEW;
  if (fresh && !card) throw new Error("The card form cannot be loaded at the moment. Check your connection and try again.");
  const element = fresh ? await card : null;
  const number = asked || (await placed(values, ships));
  const wish = fresh ? { save_payment_method: values.save === "yes" } : { payment_method: Number(values.method) };
  const { payment_id: id, client_secret: secret } = await post("/api/payment/intents/", { order_number: number, ...wish });
  const confirm = `/api/payment/payments/${id}/confirm/`;
  if (fresh) {
    const back = `${location.origin}/orders/${number}`; // from the bank's own page, if it has one
    settled(await (await stripe()).confirmCardPayment(secret, { payment_method: { card: element }, return_url: back }));
  } else {
    const state = await post(confirm);
    if (state.status === "requires_action") settled(await (await stripe()).handleNextAction({ clientSecret: secret }));
  }
  const { payment_status: state } = await post(confirm);
  return leave(number, state === "paid" ? "Thank you, it is paid. The confirmation is on its way to you by e-mail." : "");
}

function leave(number, message) {
  if (message) leaveMessage(message);
  location.assign(`/orders/${number}`);
  return LEAVING;
}

/** The cart as an order. The same cart again is the same order, with the address as it is typed now. */
async function placed(values, ships) {
  const to = Object.fromEntries(ADDRESS.map((name) => [name, (values[name] || "").trim()]));
  const order = await post("/api/orders/", ships ? { shipping_address: to } : {});
  if (order.total === due.total && order.currency === due.currency) return order.number;
  showNew(order);
  throw new Error("Your cart has changed meanwhile. Look at the new total, then pay.");
}

async function load() {
  const methods = await get("/api/payment/methods/");
  if (asked) {
    const order = await get(`/api/orders/${encodeURIComponent(asked)}/`);
    if (isPayable(order)) show(order, methods, null);
    else location.replace(`/orders/${asked}`);
    return;
  }
  const cart = await follow(get("/api/cart/"));
  if (!cart.items.length) {
    fill(place, h("div", { class: "empty" }, h("h2", {}, "There is nothing to pay"), h("p", {}, "Your cart is empty."), h("a", { class: "button", href: "/" }, "Look around")));
    return;
  }
  show(cart, methods, cart.items.some((item) => item.kind === "physical") ? await shippingOf() : null);
}

/** Where the shop ships to, and where the buyer's last order went. */
async function shippingOf() {
  const [settings, orders] = await Promise.all([config(), get("/api/orders/?page_size=5")]);
  const known = orders.results.find((order) => order.shipping_address)?.shipping_address;
  return { known, countries: settings.shipping_countries };
}

const hint = () => fill(place, signInHint("Sign in to pay here, with a card that you have saved or a new one. Without an account you pay on the payment page, from your cart."));

if (user()) load().catch((error) => (error.status === 401 ? hint() : fill(place, notice("problem", explain(error)))));
else hint();
