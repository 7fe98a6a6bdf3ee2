// One order, for its owner or the holder of its token.
import { get, post } from "../api.js";
import { goToPayment } from "../buy.js";
import { busy, byId, fill, h, notice, toast } from "../dom.js";
import { explain } from "../messages.js";
import { moment, money } from "../money.js";
import { refundList, refundsSince } from "../refunds.js";
import { forgetOrder, orderToken, rememberOrder, user } from "../session.js";
import { badge, isPayable, methodName, paymentWords } from "../states.js";

const { number } = byId("main").dataset;
const address = `/api/orders/${encodeURIComponent(number)}/`;
const refused = (error) => fill(byId("problems"), notice("problem", explain(error, { lines: [] })));

/** Mailed links carry the token behind the #, where no server sees it. It moves out of the address bar at once. */
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  rememberOrder(number, token);
  history.replaceState(null, "", location.pathname);
}

const EXPLANATIONS = {
  pending: (order) => order.expires_at && `The items are kept for you until ${moment(order.expires_at)}.`,
  processing: () => "Your bank is still working on the payment. That can take some days; we e-mail you when it has answered.",
  failed: (order) =>
    order.status === "cancelled" && "No payment arrived for this order, and nothing was charged. If it ended by itself, you can still pay it.",
};

function actions(order) {
  const found = [];
  if (isPayable(order)) {
    const pay = h("button", { type: "button", class: "button" }, "Pay now");
    pay.addEventListener("click", () => goToPayment({ button: pay, order: number, refused }));
    found.push(pay);
    if (user()) found.push(h("a", { class: "button quiet", href: `/checkout/?order=${number}` }, "Pay on this site"));
  }
  if (order.status === "pending" && order.payment_status === "pending") {
    const cancel = h("button", { type: "button", class: "button quiet" }, "Cancel order");
    cancel.addEventListener("click", () => act(cancel, "Cancelling…", `${address}cancel/`, "The order is cancelled."));
    found.push(cancel);
  }
  if (user() && orderToken(number)) {
    const claim = h("button", { type: "button", class: "button quiet" }, "Add to my orders");
    claim.addEventListener("click", () => act(claim, "Adding…", `${address}claim/`, "It is in your orders now.", () => forgetOrder(number)));
    found.push(claim);
  }
  return found.length ? h("div", { class: "row" }, found) : null;
}

async function act(button, words, path, done, after = () => {}) {
  fill(byId("problems"));
  await busy(button, words, async () => {
    try {
      const order = await post(path, undefined, { order: number });
      after();
      await show(order);
      toast(done);
    } catch (error) {
      refused(error);
    }
  });
}

function items(order) {
  return h(
    "ul",
    { class: "lines compact" },
    order.items.map((item) =>
      h(
        "li",
        { class: "line" },
        h("div", { class: "line-text" }, h("h3", {}, item.name), h("p", { class: "quiet-text" }, `${item.quantity} × ${money(item.unit_price, order.currency)}`, item.refunded_quantity > 0 && `, ${item.refunded_quantity} refunded`)),
        h("p", { class: "price line-total" }, money(item.line_total, order.currency)),
      ),
    ),
  );
}

function totals(order) {
  const zero = (amount) => !/[1-9]/.test(amount);
  const row = (name, amount, kind = "") => h("div", { class: kind }, h("dt", {}, name), h("dd", {}, money(amount, order.currency)));
  return h(
    "dl",
    { class: "totals" },
    row("Subtotal", order.subtotal),
    !zero(order.discount) && row("Discount", order.discount),
    !zero(order.shipping) && row("Shipping", order.shipping),
    !zero(order.tax) && row("Tax", order.tax),
    row("Total", order.total, "due"),
  );
}

function payments(order) {
  const paid = order.payments.filter((payment) => payment.paid_at);
  // Tries that came to nothing matter until one has paid.
  const told = paid.length ? paid : order.payments.filter((payment) => payment.payment_method || payment.failure);
  if (!told.length) return null;
  const guest = user() ? "" : `?order=${number}`;
  return h(
    "section",
    {},
    h("h2", {}, "Payment"),
    told.map((payment) => [
      h(
        "p",
        {},
        payment.payment_method ? `${methodName(payment.payment_method)}, ${paymentWords(payment).toLowerCase()}` : paymentWords(payment),
        payment.failure && !payment.paid_at && h("small", {}, `. ${payment.failure.message}`),
      ),
      payment.paid_at &&
        h(
          "p",
          { class: "links" },
          payment.receipt_url && h("a", { href: payment.receipt_url, rel: "noreferrer" }, "Receipt"),
          ["succeeded", "partially_refunded"].includes(payment.status) && h("a", { href: `/payments/${payment.id}${guest}` }, "Ask for a refund"),
        ),
    ]).flat(),
  );
}

function refunds(order, found) {
  return found.length ? h("section", {}, h("h2", {}, "Refunds"), refundList(found, order.items)) : null;
}

function delivery(order) {
  const to = order.shipping_address;
  const lines = to ? [to.name, to.line1, to.line2, [to.postal_code, to.city].filter(Boolean).join(" "), to.state, to.country].filter(Boolean) : [];
  return h(
    "section",
    {},
    h("h2", {}, lines.length ? "Delivery" : "Contact"),
    lines.length > 0 && h("address", {}, lines.map((text) => h("span", {}, text))),
    order.email && h("p", {}, order.email),
    order.tracking_number && h("p", {}, `Tracking number ${order.tracking_number}`),
  );
}

const PAPERS = { invoice: "Invoice", credit_note: "Credit note", cancellation: "Cancelled credit note" };

/** A link would not carry the token, so the file is fetched and handed to the browser from here. */
async function download(button, paper) {
  fill(byId("problems"));
  await busy(button, "Fetching…", async () => {
    try {
      const file = await get(`${address}invoice/?document=${paper.number}`, { order: number, file: true });
      const link = h("a", { href: URL.createObjectURL(file), download: `${paper.number}.pdf` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      refused(error);
    }
  });
}

function documents(papers) {
  return h(
    "section",
    {},
    h("h2", {}, "Documents"),
    papers.map((paper) => {
      const button = h("button", { type: "button" }, `${PAPERS[paper.kind]} ${paper.number}`);
      button.addEventListener("click", () => download(button, paper));
      return h("p", { class: "links" }, button);
    }),
  );
}

async function show(order) {
  const paid = order.payments.some((payment) => payment.paid_at);
  const back = paid ? await refundsSince(order.created_at, { order: number }) : [];
  const papers = paid ? await get(`${address}documents/`, { order: number }) : [];
  const aside = [
    (order.email || order.shipping_address) && delivery(order),
    payments(order),
    refunds(order, back.filter((refund) => refund.order_number === number)),
    papers.length > 0 && documents(papers),
  ].filter(Boolean);
  const explanation = EXPLANATIONS[order.payment_status]?.(order);
  fill(
    byId("order"),
    h("p", { class: "facts", role: "status" }, badge(order), h("span", {}, `Placed ${moment(order.created_at)}`), order.paid_at && h("span", {}, `Paid ${moment(order.paid_at)}`)),
    explanation && h("p", {}, explanation),
    order.disputed && h("p", { class: "notice notice-wait" }, "The payment of this order is disputed: the money was asked back through the bank, and the bank decides what becomes of it."),
    actions(order),
    h(
      "div",
      { class: "columns" },
      h("section", { "aria-label": "Items" }, items(order), totals(order)),
      aside.length > 0 && h("div", { class: "panel" }, aside),
    ),
  );
}

function hidden(error) {
  const sorry = error.status === 404 || error.status === 401;
  const text = sorry ? "This order cannot be shown here. Open it with the link in our e-mail, or sign in to the account that it belongs to." : explain(error);
  fill(
    byId("order"),
    notice("problem", text),
    h("div", { class: "row" }, !user() && h("a", { class: "button", href: `/sign-in/?next=${encodeURIComponent(location.pathname)}` }, "Sign in"), h("a", { class: "button quiet", href: "/" }, "Back to the shop")),
  );
}

/** Back from the bank's check: how it ended is asked of the shop, and the payment's secret leaves the address. */
async function comeBack(order) {
  const intent = new URLSearchParams(location.search).get("payment_intent");
  if (!intent) return order;
  history.replaceState(null, "", location.pathname);
  const payment = order.payments.find((each) => each.stripe_payment_intent_id === intent);
  if (!payment) return order;
  const state = await get(`/api/payment/payments/${payment.id}/status/`, { order: number });
  if (state.payment_status === "paid") toast("Thank you, it is paid. The confirmation is on its way to you by e-mail.");
  else if (state.failure) fill(byId("problems"), notice("problem", `${state.failure.message} Nothing was charged, and the items are still kept for you.`));
  return get(address, { order: number });
}

// The mailed link, opened in a tab that shows this order already, changes the address only behind the #.
window.addEventListener("hashchange", () => location.reload());
takeToken();
get(address, { order: number }).then(comeBack).then(show).catch(hidden);
