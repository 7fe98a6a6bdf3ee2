// What a refusal means for the person in front of the screen. Nothing is lost in any of these cases.
import { money } from "./money.js";

/** One sentence or two for an error; `lines` are the cart's or order's lines, for the names behind the skus. */
export function explain(error, { lines = [], currency } = {}) {
  const name = (sku) => lines.find((line) => line.sku === sku)?.name || sku;
  switch (error.code) {
    case "out_of_stock":
      return error.items.length ? error.items.map((item) => shortage(item, name(item.sku))).join(" ") : error.message;
    case "price_changed":
      return `${error.items
        .map((item) => `${name(item.sku)} was ${money(item.price_at_add, currency)} and is now ${money(item.current_price, currency)}.`)
        .join(" ")} Your cart shows the new price. Check it, then check out again.`;
    case "already_paid":
      return "This is paid already. You have not been charged again.";
    case "order_cancelled":
      return "This order was cancelled, so it cannot be paid any more. You can order again from the shop.";
    case "amount_exceeds_remaining":
      return error.remaining ? `That is more than is left of this payment: ${money(error.remaining, error.currency)}.` : error.message;
    case "cart_empty":
      return "Your cart is empty.";
    case "payment_provider_unavailable":
      return `The payment page cannot be reached at the moment. Your cart is kept and nothing was charged. ${later(error)}`;
  }
  if (error.status === 429) return `That was a lot of tries in a short time. Everything is kept. ${later(error)}`;
  if (error.status === 503) return `The shop is busy at the moment. Everything is kept. ${later(error)}`;
  return error.message;
}

function shortage(item, name) {
  if (item.available > 0) return `Only ${item.available} of ${name} can be had (you asked for ${item.requested}).`;
  return `${name} is sold out.`;
}

function later(error) {
  const seconds = error.retryAfter;
  if (!seconds || seconds <= 5) return "Try again in a moment.";
  if (seconds < 90) return `Try again in ${seconds} seconds.`;
  return `Try again in ${Math.ceil(seconds / 60)} minutes.`;
}
