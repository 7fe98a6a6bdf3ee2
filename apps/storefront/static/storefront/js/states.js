// An order's state in words.
import { h } from "./dom.js";

const WORDS = {
  pending: ["Waiting for payment", "open"],
  processing: ["Payment on its way", "wait"],
  paid: ["Paid", "good"],
  partially_refunded: ["Partly refunded", "wait"],
  refunded: ["Refunded", "wait"],
  failed: ["Not paid", "bad"],
};
const AFTER_PAYMENT = { shipped: ["Shipped", "good"], delivered: ["Delivered", "good"] };

/** Cancelled by a person, or ended without payment, or where it is between payment and delivery. */
export function badge(order) {
  let [text, tone] = WORDS[order.payment_status] || [order.payment_status, "open"];
  if (order.status === "cancelled") [text, tone] = [order.payment_status === "failed" ? "Cancelled, not paid" : "Cancelled", "bad"];
  else if (order.payment_status === "paid" && AFTER_PAYMENT[order.status]) [text, tone] = AFTER_PAYMENT[order.status];
  return h("span", { class: `badge badge-${tone}` }, text);
}
