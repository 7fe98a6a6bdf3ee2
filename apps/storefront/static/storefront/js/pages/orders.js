// The orders of the signed-in buyer, or the guest orders that this browser holds the tokens of.
import { get } from "../api.js";
import { byId, fill, h, notice, pages, signInHint } from "../dom.js";
import { explain } from "../messages.js";
import { moment, money } from "../money.js";
import { rememberedOrders, user } from "../session.js";
import { badge } from "../states.js";

const place = byId("orders");
const page = Number(new URLSearchParams(location.search).get("page")) || 1;
const GUEST_ORDERS = 10; // that many are asked for one by one

function row(order) {
  const count = order.items.reduce((sum, item) => sum + item.quantity, 0);
  return h(
    "li",
    { class: "order-row" },
    h("div", {}, h("h2", {}, h("a", { href: `/orders/${order.number}` }, order.number)), h("p", { class: "quiet-text" }, `${moment(order.created_at)} · ${count} ${count === 1 ? "item" : "items"}`)),
    badge(order),
    h("p", { class: "price" }, money(order.total, order.currency)),
  );
}

const list = (orders) => h("ul", { class: "order-list" }, orders.map(row));

function empty() {
  return h("div", { class: "empty" }, h("h2", {}, "No orders yet"), h("p", {}, "What you buy appears here."), h("a", { class: "button", href: "/" }, "Look around"));
}

async function showOwn() {
  const found = await get(`/api/orders/?page=${page}`);
  fill(place, found.results.length ? list(found.results) : empty(), pages(found, page));
}

async function showGuest() {
  const numbers = rememberedOrders().slice(0, GUEST_ORDERS);
  const answers = await Promise.allSettled(numbers.map((number) => get(`/api/orders/${number}/`, { order: number })));
  const found = answers.filter((answer) => answer.status === "fulfilled").map((answer) => answer.value);
  const hint = signInHint("Sign in to see the orders of your account. Orders you made as a guest open with the link in our e-mail.");
  fill(place, hint, found.length > 0 && [h("p", { class: "quiet-text" }, "Bought as a guest in this browser:"), list(found)]);
}

(user() ? showOwn() : showGuest()).catch((error) => {
  if (error.status === 401) return showGuest();
  return fill(place, notice("problem", explain(error)));
});
