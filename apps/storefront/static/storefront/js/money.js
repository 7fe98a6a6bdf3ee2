// Amounts arrive as decimal strings with exactly the currency's decimals, and are shown, never computed with.

export function money(amount, currency) {
  const decimals = (String(amount).split(".")[1] || "").length;
  return new Intl.NumberFormat(document.documentElement.lang, {
    style: "currency",
    currency,
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  }).format(amount);
}

export function moment(iso) {
  return new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(iso),
  );
}
