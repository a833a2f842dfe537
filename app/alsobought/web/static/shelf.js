/* A shelf of the shop: the answer of a pipe as a short list of products.
 *
 * Rows move instead of being rebuilt, so that the focus stays; badges mark rows that are new or have risen.
 */
import { readyPipe, runWith } from "./api.js";
import { h, screenReaderText, sentences } from "./dom.js";
import { facts, lastCategory, productOf, tile } from "./products.js";

export const SHELF_ROWS = 5;
const MARK_MS = 6000;
const HIGHLIGHT_MS = 1600;
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

function badge(mark) {
    if (mark === "new") return h("span.badge", {}, "new");
    return h("span.badge", {}, h("span", { "aria-hidden": "true" }, `↑${mark}`), screenReaderText(`up ${mark}`));
}

/** The changes between two lists: id -> "new", or by how many ranks it rose. */
export function changes(before, after) {
    const marks = new Map();
    after.forEach((id, rank) => {
        const previous = before.indexOf(id);
        if (previous < 0) marks.set(id, "new");
        else if (previous > rank) marks.set(id, previous - rank);
    });
    return marks;
}

/** True if a required product or shopper is not chosen yet. */
const isIncomplete = (pipe, values) => readyPipe(pipe)?.parameters
    .some(({ name, required }) => required && name in values && values[name] === undefined);

export function makeShelf({ pipe, title, about, empty }, { getContext, open }, ...tools) {
    const list = h("ol.rows");
    const subtitle = h("p.quiet");
    const note = h("p.note", { hidden: true });
    const root = h("section.shelf", { "aria-label": title },
        h("div.shelf-head", {}, h("h3", {}, title), subtitle, ...tools), note, list);

    const items = new Map(); // id -> li
    const marks = new Map(); // id -> {mark, until}
    let order = [];
    let subject = null;
    let turn = 0;

    /** Highlight a row for a moment. */
    function highlight(item) {
        if (reducedMotion.matches) return;
        const colour = getComputedStyle(root).getPropertyValue("--glow");
        item.animate([{ backgroundColor: colour }, { backgroundColor: colour, offset: 0.4 }, { backgroundColor: "transparent" }], { duration: HIGHLIGHT_MS });
    }

    function fillRow(item, row, meta, product, { sameSubject, wasMarked }) {
        const before = item.querySelector(".what")?.textContent;
        const more = row.reason ? [row.reason] : facts(row, meta).slice(0, 2).map(([label, text]) => `${label} ${text}`);
        if (row.source && row.source !== pipe) more.unshift(row.source);
        const mark = marks.get(product.id)?.mark;
        item.firstChild.replaceChildren(tile(product),
            h("span.what", {}, h("span.name", { title: product.title }, product.title),
                h("span.quiet", {}, [lastCategory(product), ...more].filter(Boolean).join(" · "))),
            ...(mark ? [badge(mark)] : []));
        item.firstChild.onclick = () => open(product);
        const changed = before !== undefined && before !== item.querySelector(".what").textContent;
        if (sameSubject && (changed || (mark && !wasMarked))) highlight(item);
    }

    function arrange(ids) {
        const focused = document.activeElement;
        const tops = new Map([...items].map(([id, item]) => [id, item.offsetTop]));
        for (const [id, item] of items) {
            if (!ids.includes(id)) { item.remove(); items.delete(id); }
        }
        ids.forEach((id, index) => {
            if (!items.has(id)) items.set(id, h("li", {}, h("button.row", { type: "button" })));
            if (list.children[index] !== items.get(id)) list.insertBefore(items.get(id), list.children[index] ?? null);
        });
        if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
        return () => {
            if (reducedMotion.matches) return;
            for (const [id, item] of items) {
                const moved = (tops.get(id) ?? item.offsetTop) - item.offsetTop;
                if (moved) item.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: 250, easing: "ease-out" });
            }
        };
    }

    function render(answer, newSubject, keepMarks) {
        const rows = new Map(); // a product that occurs twice is shown once, at its better rank
        for (const row of answer.data) {
            const product = productOf(row);
            if (product && !rows.has(product.id)) rows.set(product.id, { row, product });
        }
        const ids = [...rows.keys()].slice(0, SHELF_ROWS);
        const now = performance.now();
        for (const [id, { until }] of marks) if (!keepMarks || until < now) marks.delete(id);
        const sameSubject = subject === newSubject;
        const marked = [...marks.keys()];
        if (sameSubject) {
            for (const [id, mark] of changes(order, ids)) marks.set(id, { mark, until: now + MARK_MS });
        }
        order = ids;
        subject = newSubject;
        const animate = arrange(ids);
        for (const id of ids) fillRow(items.get(id), rows.get(id).row, answer.meta, rows.get(id).product, { sameSubject, wasMarked: marked.includes(id) });
        animate();
        const { fallback } = answer.pipe ?? {};
        subtitle.textContent = [newSubject, fallback ? `none yet, filled by ${fallback}` : ""].filter(Boolean).join(" · ");
        note.textContent = empty;
        note.hidden = Boolean(ids.length);
    }

    /** Run the pipe again and show what changed. Removes earlier marks at once, or with `keepMarks` after a few seconds. */
    async function refresh({ fresh = false, keepMarks = false } = {}) {
        const mine = ++turn;
        const context = getContext();
        const newSubject = about(context);
        try {
            const answer = isIncomplete(pipe, context.parameters) ? { data: [], meta: [] }
                : await runWith(pipe, { ...context.parameters, limit: SHELF_ROWS }, { fresh });
            if (mine !== turn) return null;
            render(answer, newSubject, keepMarks);
            return null;
        } catch (problem) {
            if (mine !== turn) return null;
            subtitle.textContent = newSubject;
            if (subject !== newSubject) { order = []; arrange([]); }
            note.textContent = sentences(problem.message, problem.details?.length ? problem.hint : "");
            note.hidden = false;
            return problem;
        }
    }

    return { root, refresh };
}
