// Asking for the link, or, opened from the link, setting the new password.
import { post } from "../api.js";
import { byId, fill, LEAVING, notice, title } from "../dom.js";
import { onSend } from "../form.js";
import { leaveMessage, signedOut } from "../session.js";

const mailed = new URLSearchParams(location.hash.slice(1));
const [uid, token] = [mailed.get("uid"), mailed.get("token")];

onSend(byId("request"), "Sending…", async ({ email }) => {
  await post("/api/auth/password/reset/", { email }, { anonymous: true });
  const sent = notice("good", `If ${email} has an account here, a link to set a new password is on its way to it.`);
  fill(byId("request-sent"), sent);
});

onSend(byId("confirm"), "Saving…", async ({ password }) => {
  await post("/api/auth/password/reset/confirm/", { uid, token, password }, { anonymous: true });
  signedOut();
  leaveMessage("Your new password is set. Sign in with it.");
  location.assign("/sign-in/");
  return LEAVING;
});

if (uid && token) {
  history.replaceState(null, "", location.pathname); // the link opens an account: it stays in no history
  title("Set a new password");
  byId("request").hidden = true;
  byId("confirm").hidden = false;
}

// The mailed link, opened in a tab that shows this page already, changes the address only behind the #.
window.addEventListener("hashchange", () => location.reload());
