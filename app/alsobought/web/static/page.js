/* The page: one view at a time, chosen by the address.
 *
 * api.js talks to the server, dom.js builds elements, tabs.js and picker.js are controls, products.js draws a product.
 * shop.js and shelf.js are the shop; pipes.js, pipe.js, form.js, answer.js, how.js, lineage.js the pipes;
 * editor.js and code.js the editor, sql.js its colours; live.js and chart.js what arrives.
 */
import { loadPipes, loadWorkbench } from "./api.js";
import { h, problemBox } from "./dom.js";
import { makeLive } from "./live.js";
import { makePipes } from "./pipes.js";
import { readRoute } from "./route.js";
import { makeShop } from "./shop.js";

const MAKERS = { shop: makeShop, pipes: makePipes, live: makeLive };
const made = {};
let current = null;
let workbench = null;

/** Show what the address says. Every view is made once; `enter` and `leave` tell it whether it is looked at. */
function follow(first = false) {
    const route = readRoute();
    const section = document.getElementById(route.view);
    const other = current !== route.view;
    if (other && current) {
        made[current].leave();
        document.getElementById(current).hidden = true;
    }
    section.hidden = false;
    made[route.view] ??= MAKERS[route.view](section, workbench);
    for (const link of document.querySelectorAll(".views a")) {
        if (link.getAttribute("href") === `#/${route.view}`) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    }
    document.title = [route.name || section.querySelector("h1").textContent, "Alsobought"].join(" · ");
    current = route.view;
    made[route.view].enter(route);
    if (other && !first) {
        scrollTo(0, 0);
        if (!route.name) section.querySelector("h1").focus({ preventScroll: true });
    }
}

const writes = (element) => /^(INPUT|TEXTAREA|SELECT)$/.test(element?.tagName) || element?.isContentEditable;

addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || writes(document.activeElement)) return;
    const field = current && made[current].filter?.();
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
});

async function start() {
    const loading = document.querySelector(".loading");
    try {
        [workbench] = await Promise.all([loadWorkbench(), loadPipes()]);
    } catch (problem) {
        loading.replaceWith(problemBox(problem, h("button", { type: "button", onclick: () => location.reload() }, "Try again")));
        return;
    }
    loading.remove();
    addEventListener("hashchange", () => follow());
    follow(true);
}

start();
