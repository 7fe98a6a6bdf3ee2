// One payment: its refunds, and the form that asks for one. The shop decides; what it decided is shown here.
import { get, post } from "../api.js";
import { byId, fill, h, notice, title, toast } from "../dom.js";
import { field, onSend, option } from "../form.js";
import { explain } from "../messages.js";
import { moment, money } from "../money.js";
import { refundList, refundsSince } from "../refunds.js";
import { user } from "../session.js";
import { methodName, paymentBadge } from "../states.js";

const id = Number(byId("main").dataset.payment);
const place = byId("payment");
// A guest's payment is opened by the token of its order, which this browser keeps under the order's number.
const guestOrder = new URLSearchParams(location.search).get("order") || "";
const asGuest = { order: guestOrder };

const REASONS = [
  ["requested_by_customer", "I do not want it any more"],
  ["duplicate", "I have paid for it twice"],
  ["other", "Another reason"],
];
const left = (item) => item.quantity - item.refunded_quantity;

/** The parts of the form that belong to one way of asking are there only while it is chosen. */
function ways(payment, order) {
  const items = order.items.filter((item) => left(item) > 0);
  const parts = {
    everything: null,
    items: h(
      "div",
      { class: "form" },
      items.map((item) =>
        field({
          name: `item-${item.id}`,
          label: `${item.name}, ${money(item.unit_price, order.currency)} each: how many of ${left(item)}?`,
          type: "number",
          inputmode: "numeric",
          min: 0,
          max: left(item),
          value: 0,
        }),
      ),
    ),
    amount: field({ name: "amount", label: `Amount in ${payment.currency}`, inputmode: "decimal", autocomplete: "off" }),
  };
  const chosen = h("div");
  const choice = h(
    "fieldset",
    { class: "options" },
    h("legend", {}, "What should come back?"),
    option({ name: "way", value: "everything", checked: true, text: "Everything that is left" }),
    items.length > 0 && option({ name: "way", value: "items", text: "Some of the items" }),
    option({ name: "way", value: "amount", text: "An amount" }),
  );
  choice.addEventListener("change", (event) => fill(chosen, parts[event.target.value]));
  return [choice, chosen];
}

function wish(values) {
  const asked = { payment_id: id, reason: values.reason, description: values.description.trim() };
  if (values.way === "amount") return { ...asked, amount: values.amount.trim() };
  if (values.way === "everything") return asked;
  const items = Object.entries(values)
    .filter(([name, quantity]) => name.startsWith("item-") && Number(quantity) > 0)
    .map(([name, quantity]) => ({ order_item_id: Number(name.slice(5)), quantity: Number(quantity) }));
  if (!items.length) throw new Error("Say how many of which item you would like to return.");
  return { ...asked, items };
}

function asking(payment, order) {
  const form = h(
    "form",
    { class: "panel form", id: "ask", "aria-labelledby": "ask-title" },
    h("h2", { id: "ask-title" }, "Ask for a refund"),
    ways(payment, order),
    h(
      "div",
      { class: "field" },
      h("label", { for: "reason" }, "Why?"),
      h("select", { id: "reason", name: "reason" }, REASONS.map(([value, text]) => h("option", { value }, text))),
      h("p", { id: "reason-error", class: "field-error" }),
    ),
    h(
      "div",
      { class: "field" },
      h("label", { for: "description" }, "A word to the shop", h("span", { class: "quiet-text" }, " optional")),
      h("textarea", { id: "description", name: "description", rows: 3, maxlength: 500, "aria-describedby": "description-error" }),
      h("p", { id: "description-error", class: "field-error" }),
    ),
    h("div", { class: "form-problem" }),
    h("button", { type: "submit", class: "button", disabled: true }, "Ask for a refund"),
    h("p", { class: "quiet-text" }, "The shop looks at it and decides. The money goes back the way it came."),
  );
  onSend(form, "Asking…", async (values) => {
    const refund = await post("/api/payment/refunds/", wish(values), asGuest);
    await load();
    // Staff who may give money back need nobody's word, for what they bought themselves either.
    toast(refund.status === "requested" ? "Your request is with the shop." : "The money is on its way back.");
    document.querySelector("h1").focus();
  });
  return form;
}

function show(payment, order, refunds) {
  title(`Payment of ${money(payment.amount, payment.currency)}`);
  const waits = refunds.some((refund) => refund.status === "requested");
  const some = ["succeeded", "partially_refunded"].includes(payment.status);
  fill(
    place,
    h(
      "p",
      { class: "facts" },
      paymentBadge(payment),
      payment.payment_method && h("span", {}, methodName(payment.payment_method)),
      h("span", {}, moment(payment.paid_at || payment.created_at)),
    ),
    payment.failure && !payment.paid_at && h("p", {}, payment.failure.message),
    h(
      "p",
      { class: "links" },
      h("a", { href: `/orders/${payment.order_number}` }, `Order ${payment.order_number}`),
      payment.receipt_url && h("a", { href: payment.receipt_url, rel: "noreferrer" }, "Receipt"),
    ),
    order.disputed && h("p", {}, "The payment of this order is disputed: the money was asked back through the bank, and the bank decides what becomes of it."),
    refunds.length > 0 && h("section", { class: "panel", "aria-labelledby": "refunds-title" }, h("h2", { id: "refunds-title" }, "Refunds"), refundList(refunds, order.items)),
    waits && h("p", { class: "quiet-text" }, "Your request is with the shop. Once it has decided, you can ask again for what is left."),
    some && !waits && asking(payment, order),
  );
}

async function load() {
  const payment = await get(`/api/payment/payments/${id}/`, asGuest);
  const [order, refunds] = await Promise.all([
    get(`/api/orders/${payment.order_number}/`, asGuest),
    refundsSince(payment.created_at, asGuest),
  ]);
  show(payment, order, refunds.filter((refund) => refund.payment_id === id));
}

load().catch((error) => {
  const hidden = error.status === 404 || error.status === 401;
  const text = hidden ? "This payment cannot be shown here. Sign in to the account that it belongs to." : explain(error);
  const signIn = `/sign-in/?next=${encodeURIComponent(location.pathname)}`;
  fill(
    place,
    notice("problem", text),
    h("div", { class: "row" }, !user() && h("a", { class: "button", href: signIn }, "Sign in"), h("a", { class: "button quiet", href: "/payments/" }, "Your payments")),
  );
});
