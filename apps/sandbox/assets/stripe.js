// A local stand-in for Stripe.js: plain inputs instead of frames, and no card number leaves for anywhere but the sandbox.
(() => {
  const base = new URL(document.currentScript.src).origin;
  const REDIRECT = ["payment_intent", "payment_intent_client_secret", "setup_intent", "setup_intent_client_secret", "redirect_status"];

  const digits = (text) => text.replace(/\D/g, "");
  const problem = (code, message) => ({ type: "validation_error", code, message });

  class CardElement {
    constructor(options = {}) {
      this.handlers = {};
      this.box = document.createElement("div");
      this.box.className = "__PrivateStripeElement";
      Object.assign(this.box.style, { display: "flex", flexWrap: "wrap", gap: "0.5rem" });
      this.number = this.field("Card number", "cc-number", "Card number", 23, "1 1 13rem");
      this.expiry = this.field("Expiry", "cc-exp", "MM / YY", 7, "0 1 5rem");
      this.cvc = this.field("CVC", "cc-csc", "CVC", 4, "0 1 4rem");
      this.update(options);
    }

    field(label, autocomplete, placeholder, maxLength, flex) {
      const input = document.createElement("input");
      Object.assign(input, { type: "text", inputMode: "numeric", autocomplete, placeholder, maxLength });
      input.setAttribute("aria-label", label);
      // Set by script: a page's style-src does not reach these.
      Object.assign(input.style, { flex, minWidth: "0", border: "0", padding: "0", font: "inherit", color: "inherit", background: "transparent" });
      input.addEventListener("input", () => this.changed(input));
      for (const name of ["focus", "blur"]) input.addEventListener(name, () => this.emit(name, { elementType: "card" }));
      this.box.append(input);
      return input;
    }

    changed(input) {
      const atEnd = input.selectionStart === input.value.length;
      const typed = digits(input.value);
      if (atEnd && input === this.number) input.value = typed.replace(/(.{4})(?=.)/g, "$1 ");
      if (atEnd && input === this.expiry && typed.length > 2) input.value = `${typed.slice(0, 2)} / ${typed.slice(2, 4)}`;
      this.emit("change", this.state());
    }

    state() {
      const empty = !this.number.value && !this.expiry.value && !this.cvc.value;
      return { elementType: "card", empty, complete: this.missing() === null, error: undefined };
    }

    missing() {
      if (digits(this.number.value).length < 12) return problem("incomplete_number", "Your card number is incomplete.");
      if (digits(this.expiry.value).length !== 4) return problem("incomplete_expiry", "Your card's expiration date is incomplete.");
      if (digits(this.cvc.value).length < 3) return problem("incomplete_cvc", "Your card's security code is incomplete.");
      return null;
    }

    details() {
      const date = digits(this.expiry.value);
      return { number: digits(this.number.value), exp_month: Number(date.slice(0, 2)), exp_year: 2000 + Number(date.slice(2)), cvc: digits(this.cvc.value) };
    }

    mount(target) {
      const place = typeof target === "string" ? document.querySelector(target) : target;
      if (!place) throw new Error(`The selector you specified (${target}) applies to no DOM elements that are currently on the page.`);
      place.classList.add("StripeElement");
      place.replaceChildren(this.box);
      queueMicrotask(() => this.emit("ready", { elementType: "card" }));
    }

    unmount() {
      this.box.remove();
    }

    destroy() {
      this.clear();
      this.unmount();
    }

    clear() {
      for (const input of [this.number, this.expiry, this.cvc]) input.value = "";
      this.emit("change", this.state());
    }

    focus() {
      this.number.focus();
    }

    update({ disabled } = {}) {
      if (disabled !== undefined) for (const input of [this.number, this.expiry, this.cvc]) input.disabled = disabled;
    }

    on(name, handler) {
      (this.handlers[name] ??= []).push(handler);
      return this;
    }

    emit(name, event) {
      for (const handler of this.handlers[name] ?? []) handler(event);
    }
  }

  // {card: {number: 1}} becomes card[number]=1.
  function* fields(values, parent = "") {
    for (const [name, value] of Object.entries(values)) {
      const path = parent ? `${parent}[${name}]` : name;
      if (value === undefined || value === null) continue;
      if (typeof value === "object") yield* fields(value, path);
      else yield [path, String(value)];
    }
  }

  // Where the bank's page sends the buyer back to when the shop names no other place.
  const here = () => {
    const url = new URL(location.href);
    url.hash = "";
    for (const name of REDIRECT) url.searchParams.delete(name);
    return url.href;
  };

  window.Stripe = (key) => {
    if (typeof key !== "string" || !key.startsWith("pk_")) throw new Error("Please call Stripe() with your publishable key. It begins with pk_.");

    const call = async (method, path, values) => {
      const form = new URLSearchParams([...fields(values)]);
      const [query, body] = method === "GET" ? [`?${form}`, undefined] : ["", form];
      try {
        const answer = await fetch(`${base}/v1/${path}${query}`, { method, body, credentials: "omit", headers: { Authorization: `Bearer ${key}` } });
        return await answer.json();
      } catch {
        return { error: { type: "api_connection_error", message: "We are experiencing issues connecting to our payments provider. Please try again." } };
      }
    };

    const as = (name, answer) => (answer.error ? { error: answer.error } : { [name]: answer });
    const place = (kind, secret) => `${kind}/${encodeURIComponent(secret.split("_secret_")[0])}`;

    const createPaymentMethod = async ({ type = "card", card, billing_details }) => {
      const missing = card instanceof CardElement ? card.missing() : null;
      if (missing) return { error: missing };
      const details = card instanceof CardElement ? card.details() : card;
      return as("paymentMethod", await call("POST", "payment_methods", { type, card: details, billing_details }));
    };

    const confirm = async (kind, name, secret, { payment_method, return_url } = {}, { handleActions = true } = {}) => {
      let method = payment_method;
      if (method && typeof method === "object") {
        const made = await createPaymentMethod(method);
        if (made.error) return made;
        method = made.paymentMethod.id;
      }
      const back = return_url ?? (handleActions ? here() : undefined);
      const answer = await call("POST", `${place(kind, secret)}/confirm`, { client_secret: secret, payment_method: method, return_url: back });
      const next = answer.next_action?.redirect_to_url?.url;
      return next && handleActions ? leave(next) : as(name, answer);
    };

    // A redirect, since a strict policy of the page may forbid frames and a browser may block windows.
    const leave = (address) => {
      location.assign(address);
      return new Promise(() => {});
    };

    const retrieve = async (kind, name, secret) => as(name, await call("GET", place(kind, secret), { client_secret: secret }));

    // For an intent that the shop's server confirmed and that waits for the bank's check.
    const handleNextAction = async ({ clientSecret }) => {
      const [kind, name] = clientSecret.startsWith("seti_") ? ["setup_intents", "setupIntent"] : ["payment_intents", "paymentIntent"];
      const found = await retrieve(kind, name, clientSecret);
      if (found.error) return found;
      if (found[name].status !== "requires_action") {
        const message = `handleNextAction: The ${name} supplied is not in the requires_action state.`;
        return { error: { type: "invalid_request_error", code: "intent_unexpected_state", message } };
      }
      const next = found[name].next_action.redirect_to_url?.url;
      return next ? leave(next) : confirm(kind, name, clientSecret);
    };

    return {
      createPaymentMethod,
      confirmCardPayment: (secret, data, options) => confirm("payment_intents", "paymentIntent", secret, data, options),
      confirmCardSetup: (secret, data, options) => confirm("setup_intents", "setupIntent", secret, data, options),
      handleNextAction,
      retrievePaymentIntent: (secret) => retrieve("payment_intents", "paymentIntent", secret),
      retrieveSetupIntent: (secret) => retrieve("setup_intents", "setupIntent", secret),
      elements: () => {
        const made = {};
        return {
          create: (type, options) => {
            if (type !== "card") throw new Error(`The sandbox's Stripe.js has the card element only, not ${type}.`);
            made[type] = new CardElement(options);
            return made[type];
          },
          getElement: (type) => made[type] ?? null,
        };
      },
    };
  };
})();
