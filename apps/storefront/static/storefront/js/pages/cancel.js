// The buyer left the payment page: the order is open, and the way back is one press.
import { get } from "../api.js";
import { goToPayment } from "../buy.js";
import { byId, fill, h, notice } from "../dom.js";
import { explain } from "../messages.js";
import { money } from "../money.js";
import { orderToken, user } from "../session.js";

const number = new URLSearchParams(location.search).get("order") || "";

async function show() {
  if (!number || !(user() || orderToken(number))) return; // not ours to show: the cart is the way back
  const order = await get(`/api/orders/${encodeURIComponent(number)}/`, { order: number });
  byId("order").href = `/orders/${number}`;
  byId("order").hidden = false;
  fill(byId("facts"), "Order ", h("strong", {}, number), " · ", money(order.total, order.currency));
  if (order.status === "pending" && order.payment_status === "pending") byId("pay").hidden = false;
  else location.replace(`/orders/${number}`);
}

byId("pay").addEventListener("click", (event) =>
  goToPayment({
    button: event.currentTarget,
    order: number,
    refused: (error) => fill(byId("problems"), notice("problem", explain(error))),
  }),
);
show().catch((error) => error.status !== 404 && fill(byId("problems"), notice("problem", explain(error))));
