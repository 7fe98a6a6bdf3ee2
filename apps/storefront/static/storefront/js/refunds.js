// Refunds as a page shows them.
import { get } from "./api.js";
import { h } from "./dom.js";
import { moment, money } from "./money.js";
import { refundBadge } from "./states.js";

/** Every refund since a moment, newest first: no payment has one that is older than itself. */
export async function refundsSince(since, options) {
  const found = [];
  for (let page = 1; ; page += 1) {
    const { results, next } = await get(`/api/payment/refunds/?page=${page}&page_size=100`, options);
    found.push(...results);
    if (!next || Date.parse(results.at(-1).created_at) < Date.parse(since)) return found;
  }
}

/** What of an order goes back, by the names of its lines; empty where a refund names none. */
function lines(refund, items) {
  return refund.items
    .map(({ order_item_id: id, quantity }) => {
      const item = items.find((line) => line.id === id);
      return item && `${quantity} × ${item.name}`;
    })
    .filter(Boolean)
    .join(", ");
}

export function refundList(refunds, items = []) {
  return h(
    "ul",
    { class: "refunds" },
    refunds.map((refund) =>
      h(
        "li",
        {},
        h("span", {}, h("strong", {}, money(refund.amount, refund.currency)), " ", refundBadge(refund)),
        h("small", {}, [moment(refund.created_at), lines(refund, items)].filter(Boolean).join(" · ")),
        refund.description && h("small", {}, `“${refund.description}”`),
      ),
    ),
  );
}
