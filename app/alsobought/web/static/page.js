/* The page: one view at a time, selected by the fragment of the URL.
 *
 * api.js is the HTTP client, login.js the login, dom.js creates elements, tabs.js and picker.js are controls, products.js draws products.
 * Shop: shop.js, shelf.js. Pipes: pipes.js, pipe.js, form.js, answer.js, explain.js, lineage.js.
 * Editor: editor.js, code.js, sql.js (highlighting). Live: live.js, chart.js. Metrics: metrics.js, chart.js. Why: why.js. Audit: audit.js.
 * Experiments: experiments.js, lift_chart.js.
 */
import { makeAudit } from "./audit.js";
import { loadPipes, loadWorkbench } from "./api.js";
import { h, problemBox } from "./dom.js";
import { makeExperiments } from "./experiments.js";
import { account, loginForm } from "./login.js";
import { makeLive } from "./live.js";
import { makeMetrics } from "./metrics.js";
import { makePipes } from "./pipes.js";
import { readRoute } from "./route.js";
import { makeShop } from "./shop.js";
import { makeWhy } from "./why.js";

const FACTORIES = {
    shop: makeShop,
    pipes: makePipes,
    metrics: makeMetrics,
    experiments: makeExperiments,
    live: makeLive,
    why: makeWhy,
    audit: makeAudit,
};
const views = {};
let current = null;
let workbench = null;

/** Show the view of the URL. Each view is created once; `enter` and `leave` are called when it is shown and hidden. */
function showRoute(first = false) {
    const route = readRoute();
    const section = document.getElementById(route.view);
    const changed = current !== route.view;
    if (changed && current) {
        views[current].leave();
        document.getElementById(current).hidden = true;
    }
    section.hidden = false;
    views[route.view] ??= FACTORIES[route.view](section, workbench);
    for (const link of document.querySelectorAll(".views a")) {
        if (link.getAttribute("href") === `#/${route.view}`) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    }
    document.title = [route.name || section.querySelector("h1").textContent, "Alsobought"].join(" · ");
    current = route.view;
    views[route.view].enter(route);
    if (changed && !first) {
        scrollTo(0, 0);
        if (!route.name) section.querySelector("h1").focus({ preventScroll: true });
    }
}

const isEditable = (element) => /^(INPUT|TEXTAREA|SELECT)$/.test(element?.tagName) || element?.isContentEditable;

addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isEditable(document.activeElement)) return;
    const field = current && views[current].filter?.();
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
});

async function start() {
    const loading = document.querySelector(".loading");
    try {
        workbench = await loadWorkbench();
        if (workbench.key_needed) {
            for (const links of document.querySelectorAll(".views, .foot")) links.hidden = true; // they lead nowhere without a key
            loading.replaceWith(loginForm());
            return;
        }
        if (workbench.session) document.querySelector(".top").append(account(workbench));
        document.querySelector(".views [href='#/audit']").hidden = !workbench.audit;
        await loadPipes();
    } catch (problem) {
        loading.replaceWith(problemBox(problem, h("button", { type: "button", onclick: () => location.reload() }, "Try again")));
        return;
    }
    loading.remove();
    addEventListener("hashchange", () => showRoute());
    showRoute(true);
}

start();
