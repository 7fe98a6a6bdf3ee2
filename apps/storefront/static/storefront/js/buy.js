// Putting things into the cart and going to the payment page: the same on every page that can do it.
import { cart, post } from "./api.js";
import { busy, fill, LEAVING, notice, toast } from "./dom.js";
import { explain } from "./messages.js";
import { rememberOrder, user } from "./session.js";

export async function addToCart({ button, variant, name, quantity = 1, problems }) {
  fill(problems);
  await busy(button, "Adding…", async () => {
    try {
      await cart(post("/api/cart/add/", { variant_id: variant.id, quantity, currency: variant.currency }));
      toast(`${name} is in your cart.`, { href: "/cart/", text: "View cart" });
    } catch (error) {
      fill(problems, notice("problem", explain(error, { lines: [{ sku: variant.sku, name }], currency: variant.currency })));
    }
  });
}

/**
 * Go to the payment page: for the cart, or for an order that is not paid yet. Errors go to `refused`.
 * With `save` the card that the buyer pays with there is kept for the next time.
 */
export async function goToPayment({ button, order, save = false, refused }) {
  await busy(button, "One moment…", async () => {
    try {
      const wish = { ...(order && { order_number: order }), ...(save && { save_payment_method: true }) };
      const answer = await post("/api/payment/checkout/", wish, { order });
      // A signed-in buyer opens the order by the account; a shared computer keeps no second key to it.
      if (!user()) rememberOrder(answer.order_number, answer.order_token);
      location.assign(answer.checkout_url);
      return LEAVING;
    } catch (error) {
      await refused(error);
      return null;
    }
  });
}
