// States in words: of orders, payments and refunds.
import { h } from "./dom.js";

const ORDERS = {
  pending: ["Waiting for payment", "open"],
  processing: ["Payment on its way", "wait"],
  paid: ["Paid", "good"],
  partially_refunded: ["Partly refunded", "wait"],
  refunded: ["Refunded", "wait"],
  failed: ["Not paid", "bad"],
};
const AFTER_PAYMENT = { shipped: ["Shipped", "good"], delivered: ["Delivered", "good"] };
const PAYMENTS = {
  pending: ["Not paid yet", "open"],
  processing: ["On its way", "wait"],
  requires_action: ["Waits for your bank's check", "open"],
  succeeded: ["Paid", "good"],
  failed: ["Failed", "bad"],
  cancelled: ["Not carried out", "bad"],
  partially_refunded: ["Partly refunded", "wait"],
  refunded: ["Refunded", "wait"],
};
const REFUNDS = {
  requested: ["Asked for", "open"],
  rejected: ["Turned down", "bad"],
  pending: ["On its way", "wait"],
  succeeded: ["Refunded", "good"],
  failed: ["Failed", "bad"],
  cancelled: ["Cancelled", "bad"],
};
const BRANDS = { amex: "American Express", diners: "Diners Club", jcb: "JCB", unionpay: "UnionPay", sepa_debit: "SEPA bank debit" };

const shown = ([text, tone]) => h("span", { class: `badge badge-${tone}` }, text);
const inWords = (words, state) => words[state] || [state.replaceAll("_", " "), "open"];

/** Cancelled by a person, or ended without payment, or where it is between payment and delivery. */
export function badge(order) {
  if (order.status === "cancelled") return shown([order.payment_status === "failed" ? "Cancelled, not paid" : "Cancelled", "bad"]);
  if (order.payment_status === "paid" && AFTER_PAYMENT[order.status]) return shown(AFTER_PAYMENT[order.status]);
  return shown(inWords(ORDERS, order.payment_status));
}

export const paymentWords = (payment) => inWords(PAYMENTS, payment.status)[0];
export const paymentBadge = (payment) => shown(inWords(PAYMENTS, payment.status));
export const refundBadge = (refund) => shown(inWords(REFUNDS, refund.status));

/** An order whose payment the buyer can still make. */
export function isPayable(order) {
  if (order.status === "cancelled") return order.payment_status === "failed";
  return order.status === "pending" && order.payment_status === "pending";
}

/** “Visa ending in 4242”; empty where nothing is known of the method yet. */
export function methodName(method) {
  if (!method) return "";
  const name = method.brand || method.type;
  const words = BRANDS[name] || name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
  return method.last4 ? `${words} ending in ${method.last4}` : words;
}
