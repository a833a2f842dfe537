/* The list of pipes with a filter, and beside it the selected pipe or its editor. */
import { allPipes, findPipe, loadPipes } from "./api.js";
import { count, h, newId } from "./dom.js";
import { warnAboutDraftsOnClose, showEditor } from "./editor.js";
import { showPipe } from "./pipe.js";
import { pipeHash } from "./route.js";
import { stateMark } from "./state.js";

const PICKER_PIPES = ["find_items", "active_users"]; // listed last: they serve the form fields of this page
const RELOAD_MS = 3000;

export function makePipes(section, workbench) {
    const list = h("ul.pipes");
    const filter = h("input", { type: "search", id: newId("filter"), placeholder: "Filter", autocomplete: "off", spellcheck: false,
        "aria-keyshortcuts": "/" });
    const matches = h("p.quiet", { role: "status" });
    const detail = h("article.detail", { hidden: true });
    const bench = h("div.bench", {}, h("nav", { "aria-label": "Pipes" },
        h("div.filter", {}, h("label.hidden", { htmlFor: filter.id }, "Filter pipes by name or description"), filter, h("kbd", { "aria-hidden": "true" }, "/")),
        matches, list), detail);
    section.append(bench);
    const title = section.querySelector(".title");
    let shown = null; // the view in `detail`
    let name = "";
    let edited = false;
    let timer = 0;

    function fillList() {
        const rank = (pipe) => PICKER_PIPES.indexOf(pipe.name);
        const pipes = allPipes().sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
        const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
        const isMatch = (pipe) => words.every((word) => `${pipe.name} ${pipe.description}`.toLowerCase().includes(word));
        const matching = pipes.filter(isMatch);
        list.replaceChildren(...matching.map((pipe) => h("li", {}, h("a.pipe", { href: pipeHash(pipe.name), "aria-current": pipe.name === name ? "true" : null },
            h("span.head", {}, h("span.name", {}, pipe.name), stateMark(pipe)),
            h("span.quiet", {}, pipe.ready === false ? "not available" : pipe.sentence)))));
        matches.textContent = !pipes.length ? "No pipes yet. Create pipes/<name>.sql."
            : words.length ? `${count(matching.length)} of ${count(pipes.length)}` : "";
    }

    filter.addEventListener("input", fillList);
    filter.addEventListener("keydown", (event) => {
        if (event.key === "Enter") list.querySelector("a")?.click();
        if (event.key === "Escape") { filter.value = ""; fillList(); }
    });

    async function enter(route) {
        const changed = name !== route.name || edited !== route.edit;
        name = route.name;
        edited = route.edit;
        bench.classList.toggle("chosen", Boolean(name));
        bench.classList.toggle("editing", route.edit);
        title.classList.toggle("chosen", Boolean(name));
        detail.hidden = !name;
        fillList();
        shown?.leave();
        shown = null;
        if (name) shown = show(route, changed);
        clearInterval(timer);
        timer = setInterval(() => document.hidden || reload(), RELOAD_MS);
        await reload(true);
    }

    /** Reload the list, since files change. Unless the view was entered, an unchanged list is not redrawn: it may have the focus. */
    async function reload(entered = false) {
        const requested = name;
        const before = JSON.stringify(allPipes());
        await loadPipes().catch(() => {});
        if (!entered && JSON.stringify(allPipes()) === before) return;
        fillList();
        if (name === requested && shown?.refresh) shown.refresh(findPipe(name));
    }

    function show(route, changed) {
        const pipe = findPipe(name);
        const view = !pipe ? missing(`There is no pipe called ${name}. Choose one from the list.`)
            : route.edit && workbench.edit ? showEditor(detail, pipe, route.pairs)
                : route.edit ? missing("Editing is off. Start the service with --edit, and open this page on the same machine.")
                    : showPipe(detail, pipe, route.pairs, workbench);
        if (changed) detail.querySelector("h2")?.focus({ preventScroll: true });
        return view;
    }

    function missing(text) {
        detail.replaceChildren(h("h2", { tabIndex: -1 }, name), h("p.note", {}, text));
        return { leave: () => {} };
    }

    warnAboutDraftsOnClose();
    return { enter, leave: () => { clearInterval(timer); shown?.leave(); shown = null; name = ""; }, filter: () => filter };
}
