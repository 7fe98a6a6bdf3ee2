// One product: choose a variant and a quantity, put it into the cart.
import { get } from "../api.js";
import { addToCart } from "../buy.js";
import { byId, fill, h, notice, picture, title } from "../dom.js";
import { explain } from "../messages.js";
import { money } from "../money.js";
import { currency } from "../session.js";
import { stepper } from "../stepper.js";
import { stockNote } from "../stock.js";

const place = byId("product");
const gone = (variant) => variant.available !== null && variant.available < 1;

function show(product) {
  title(product.name);
  let chosen = product.variants.find((variant) => !gone(variant)) || product.variants[0];
  let quantity = 1;
  const price = h("p", { class: "price big", "aria-live": "polite" });
  const buying = h("div", { class: "buying" });
  const problems = h("div");

  const showChoice = () => {
    fill(price, money(chosen.price, chosen.currency), product.kind === "digital" && h("small", {}, " digital, no shipping"));
    if (gone(chosen)) {
      fill(buying, h("p", { class: "few" }, "Sold out. It may come back: look in again later."));
      return;
    }
    const name = chosen.name ? `${product.name}, ${chosen.name}` : product.name;
    const add = h("button", { type: "button", class: "button" }, "Add to cart");
    add.addEventListener("click", () => addToCart({ button: add, variant: chosen, name, quantity, problems }));
    const amount = stepper({
      id: "quantity",
      label: "Quantity",
      value: (quantity = 1),
      available: chosen.available,
      changed: (wanted) => (quantity = wanted),
    });
    fill(buying, amount, add, stockNote(chosen.available));
  };

  const choices = product.variants.map((variant) => {
    const id = `variant-${variant.id}`;
    const radio = h("input", { type: "radio", name: "variant", id, checked: variant === chosen });
    radio.addEventListener("change", () => {
      chosen = variant;
      fill(problems);
      showChoice();
    });
    return h("div", { class: "choice" }, radio, h("label", { for: id }, variant.name || variant.sku, gone(variant) && h("small", {}, " sold out")));
  });

  byId("crumb").replaceChildren(
    h("a", { href: "/" }, "Shop"),
    h("a", { href: `/?category=${product.category}` }, product.category_name || product.category),
  );
  const description = product.description.split(/\n{2,}/).map((text) => text && h("p", {}, text));
  fill(byId("product-picture"), picture(product.image_url, product.name, "large"));
  fill(
    place,
    price,
    h("div", { class: "description" }, description, product.needs_account && h("p", {}, "It belongs to an account: sign in before you check out.")),
    product.variants.length > 1 && h("fieldset", { class: "choices" }, h("legend", {}, "Choose"), choices),
    buying,
    problems,
  );
  showChoice();
}

function missing(error) {
  title(error.status === 404 ? "This product is not here" : "Something is in the way");
  byId("product-picture").remove();
  const text = error.status === 404 ? "It may have been taken off the shelf." : explain(error);
  fill(place, notice("problem", text), h("a", { class: "button", href: "/" }, "Back to the shop"));
}

get(`/api/products/${encodeURIComponent(byId("main").dataset.slug)}/?${new URLSearchParams({ currency: currency() })}`).then(show, missing);
