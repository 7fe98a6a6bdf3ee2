// What the signed-in buyer learns: projects that open one after the other, steps to be done, and courses on offer.
import { get, post } from "../api.js";
import { busy, byId, fill, h, LEAVING, notice, signInHint, toast } from "../dom.js";
import { explain } from "../messages.js";
import { moment, money } from "../money.js";
import { user } from "../session.js";

const place = byId("courses");
const asked = new URLSearchParams(location.search).get("track") || "";
let offers = [];

const BADGES = { enrolled: ["Enrolled", "good"], suspended: ["Paused", "wait"], withdrawn: ["Ended", "bad"] };
const EXPLANATIONS = {
  suspended: "The payment for this course is disputed. It pauses until that is decided, and your progress is kept.",
  withdrawn: "The payment for this course went back, so it has ended. Your progress is kept: if you buy it again, you go on where you stopped.",
};

const stepsOf = (course) => course.projects.flatMap((project) => project.steps);
const done = (steps) => steps.filter((step) => step.state === "completed").length;
const badge = (status) => h("span", { class: `badge badge-${BADGES[status][1]}` }, BADGES[status][0]);

function head(course) {
  const steps = stepsOf(course);
  const words = `${done(steps)} of ${steps.length} steps done`;
  return [
    h(
      "div",
      { class: "course-head" },
      h("h2", { id: "course-title", tabindex: "-1" }, course.track_name),
      badge(course.status),
      course.status === "enrolled" && h("span", { class: "quiet-text" }, `since ${moment(course.enrolled_at)}`),
    ),
    EXPLANATIONS[course.status] && notice("wait", EXPLANATIONS[course.status]),
    steps.length > 0 &&
      h(
        "div",
        { class: "course-progress" },
        h("progress", { max: steps.length, value: done(steps), "aria-label": `Progress in ${course.track_name}` }),
        h("p", { class: "quiet-text" }, words),
      ),
  ];
}

function stepRow(step, course) {
  const row = h(
    "li",
    { class: `step ${step.state}` },
    h("span", { class: "step-mark", "aria-hidden": "true" }),
    h("span", {}, step.title, step.state === "completed" && h("span", { class: "sr" }, " (done)")),
  );
  if (step.state === "open" && course.status === "enrolled") {
    const button = h("button", { type: "button", class: "button quiet small", "aria-label": `Mark as done: ${step.title}` }, "Mark as done");
    button.addEventListener("click", () => complete(button, step, course));
    row.append(button);
  }
  return row;
}

function projectPanel(project, course) {
  const finished = project.unlocked && done(project.steps) === project.steps.length;
  const state = finished ? ["Finished", "good"] : project.unlocked ? [`${done(project.steps)} of ${project.steps.length}`, "open"] : ["Locked", ""];
  return h(
    "li",
    { class: `panel project${project.unlocked ? "" : " locked"}` },
    h("header", {}, h("h3", {}, `${project.number}. ${project.title}`), h("span", { class: `badge${state[1] && ` badge-${state[1]}`}` }, state[0])),
    !project.unlocked && h("p", { class: "quiet-text" }, "Opens when the projects before it are finished."),
    project.steps.length > 0 && h("ul", { class: "steps" }, project.steps.map((step) => stepRow(step, course))),
  );
}

async function complete(button, step, course) {
  const before = course.projects.filter((project) => project.unlocked).length;
  fill(byId("problems"));
  await busy(button, "One moment…", async () => {
    try {
      const now = await post(`/api/enrollment/steps/${step.id}/complete/`);
      show(now);
      const opened = now.projects.filter((project) => project.unlocked)[before];
      if (opened) toast(`Project ${opened.number} is open: ${opened.title}.`);
      else if (done(stepsOf(now)) === stepsOf(now).length) toast(`That was the last step. You have finished ${now.track_name}.`);
      // The keyboard goes on with what is next to be done.
      (place.querySelector(".step.open button") || byId("course-title")).focus();
    } catch (error) {
      refused(error);
    }
  });
}

function offer(track, course) {
  const before = course.enrollments.find((each) => each.track === track.code);
  const words = before?.status === "withdrawn" ? "Buy again" : "Buy this course";
  const button = h("button", { type: "button", class: "button", "aria-label": `${words}: ${track.name}` }, words);
  button.addEventListener("click", () => buy(button, track));
  return h("li", { class: "panel" }, h("h3", {}, track.name), h("p", { class: "price" }, money(track.price, track.currency)), button);
}

async function buy(button, track) {
  fill(byId("problems"));
  await busy(button, "One moment…", async () => {
    try {
      location.assign((await post(`/api/enrollment/tracks/${encodeURIComponent(track.code)}/checkout/`)).checkout_url);
      return LEAVING;
    } catch (error) {
      refused(error);
      if (error.code === "already_enrolled") await load();
      return null;
    }
  });
}

function show(course) {
  const active = course.enrollments.filter((each) => each.status !== "withdrawn").map((each) => each.track);
  const left = offers.filter((track) => !active.includes(track.code));
  const others = course.enrollments.length > 1;
  fill(
    place,
    others &&
      h(
        "nav",
        { class: "chips", "aria-label": "Your courses" },
        h("ul", {}, course.enrollments.map((each) => h("li", {}, h("a", { href: `?track=${encodeURIComponent(each.track)}`, "aria-current": each.track === course.track && "page" }, each.track_name)))),
      ),
    course.status === "not_enrolled"
      ? h("div", { class: "empty" }, h("h2", { id: "course-title", tabindex: "-1" }, "No course yet"), h("p", {}, "A course that you buy opens here, project by project."))
      : h("section", { "aria-labelledby": "course-title" }, head(course), h("ul", { class: "projects" }, course.projects.map((project) => projectPanel(project, course)))),
    left.length > 0 &&
      h("section", { "aria-labelledby": "offers-title" }, h("h2", { id: "offers-title" }, "Courses you can start"), h("ul", { class: "offers" }, left.map((track) => offer(track, course)))),
  );
}

function refused(error) {
  const sorry = [explain(error)];
  if (error.orderNumber) sorry.push(" ", h("a", { href: `/orders/${error.orderNumber}` }, `See order ${error.orderNumber}`));
  fill(byId("problems"), notice("problem", sorry));
  byId("problems").scrollIntoView({ block: "center" });
}

async function load() {
  const query = asked ? `?${new URLSearchParams({ track: asked })}` : "";
  const [tracks, course] = await Promise.all([get("/api/enrollment/tracks/"), get(`/api/enrollment/me/${query}`)]);
  offers = tracks;
  show(course);
}

const hint = () => fill(place, signInHint("Sign in to see your courses, and to start one."));

if (user()) load().catch((error) => (error.status === 401 ? hint() : fill(place, notice("problem", explain(error)))));
else hint();
