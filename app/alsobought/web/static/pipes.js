/* The pipes: the list with a filter, and beside it the one that was chosen, to be asked or edited. */
import { knownPipe, knownPipes, loadPipes } from "./api.js";
import { count, h, newId } from "./dom.js";
import { keepDraftsOnClose, showEditor } from "./editor.js";
import { showPipe } from "./pipe.js";
import { pipeHash } from "./route.js";
import { stateMark } from "./state.js";

const FOR_PICKERS = ["find_items", "active_users"]; // listed last: they serve the fields of this page
const LOOK_AGAIN_MS = 3000;

export function makePipes(section, workbench) {
    const list = h("ul.pipes");
    const filter = h("input", { type: "search", id: newId("filter"), placeholder: "Filter", autocomplete: "off", spellcheck: false,
        "aria-keyshortcuts": "/" });
    const found = h("p.quiet", { role: "status" });
    const detail = h("article.detail", { hidden: true });
    const bench = h("div.bench", {}, h("nav", { "aria-label": "Pipes" },
        h("div.filter", {}, h("label.hidden", { htmlFor: filter.id }, "Filter pipes by name or sentence"), filter, h("kbd", { "aria-hidden": "true" }, "/")),
        found, list), detail);
    section.append(bench);
    const title = section.querySelector(".title");
    let shown = null; // what is in `detail`
    let name = "";
    let edited = false;
    let again = 0;

    function fill() {
        const last = (pipe) => FOR_PICKERS.indexOf(pipe.name);
        const pipes = knownPipes().sort((a, b) => last(a) - last(b) || a.name.localeCompare(b.name));
        const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
        const fits = (pipe) => words.every((word) => `${pipe.name} ${pipe.description}`.toLowerCase().includes(word));
        const kept = pipes.filter(fits);
        list.replaceChildren(...kept.map((pipe) => h("li", {}, h("a.pipe", { href: pipeHash(pipe.name), "aria-current": pipe.name === name ? "true" : null },
            h("span.head", {}, h("span.name", {}, pipe.name), stateMark(pipe)),
            h("span.quiet", {}, pipe.ready === false ? "not available just now" : pipe.sentence)))));
        found.textContent = !pipes.length ? "No pipes yet: write pipes/<name>.sql."
            : words.length ? `${count(kept.length)} of ${count(pipes.length)}` : "";
    }

    filter.addEventListener("input", fill);
    filter.addEventListener("keydown", (event) => {
        if (event.key === "Enter") list.querySelector("a")?.click();
        if (event.key === "Escape") { filter.value = ""; fill(); }
    });

    async function enter(route) {
        const other = name !== route.name || edited !== route.edit;
        name = route.name;
        edited = route.edit;
        bench.classList.toggle("chosen", Boolean(name));
        bench.classList.toggle("editing", route.edit);
        title.classList.toggle("chosen", Boolean(name));
        detail.hidden = !name;
        fill();
        shown?.leave();
        shown = null;
        if (name) shown = show(route, other);
        clearInterval(again);
        again = setInterval(() => document.hidden || look(), LOOK_AGAIN_MS);
        await look(true);
    }

    /** Files are saved all the time. When nobody asked, what has not changed is left alone: the focus may be in it. */
    async function look(entered = false) {
        const asked = name;
        const before = JSON.stringify(knownPipes());
        await loadPipes().catch(() => {});
        if (!entered && JSON.stringify(knownPipes()) === before) return;
        fill();
        if (name === asked && shown?.refresh) shown.refresh(knownPipe(name));
    }

    function show(route, other) {
        const pipe = knownPipe(name);
        const made = !pipe ? missing(`There is no pipe called ${name}: choose one from the list.`)
            : route.edit && workbench.edit ? showEditor(detail, pipe, route.pairs)
                : route.edit ? missing("Pipes can be edited only where the service was started with --edit, on this machine.")
                    : showPipe(detail, pipe, route.pairs, workbench);
        if (other) detail.querySelector("h2")?.focus({ preventScroll: true });
        return made;
    }

    function missing(text) {
        detail.replaceChildren(h("h2", { tabIndex: -1 }, name), h("p.note", {}, text));
        return { leave: () => {} };
    }

    keepDraftsOnClose();
    return { enter, leave: () => { clearInterval(again); shown?.leave(); shown = null; name = ""; }, filter: () => filter };
}
