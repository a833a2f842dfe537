/* One shelf of the shop: a pipe's answer as a short list of products that can be opened.
 *
 * Rows are kept and moved, not rebuilt, so the focus stays where it is; a row that rose or is new says so.
 */
import { askFor, readyPipe } from "./api.js";
import { h, unseen } from "./dom.js";
import { facts, lastCategory, productOf, tile } from "./products.js";

export const SHELF_ROWS = 5;
const MARK_MS = 6000;
const LIGHT_MS = 1600;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function badge(mark) {
    if (mark === "new") return h("span.badge", {}, "new");
    return h("span.badge", {}, h("span", { "aria-hidden": "true" }, `↑${mark}`), unseen(`up ${mark}`));
}

/** What one answer changed: id -> "new", or how many places it rose. */
export function changes(before, after) {
    const marks = new Map();
    after.forEach((id, at) => {
        const was = before.indexOf(id);
        if (was < 0) marks.set(id, "new");
        else if (was > at) marks.set(id, was - at);
    });
    return marks;
}

/** Whether the pipe must know the product or the shopper while none is chosen. */
const lacks = (pipe, parameters) => readyPipe(pipe)?.parameters
    .some((one) => one.required && one.name in parameters && parameters[one.name] === undefined);

export function makeShelf({ pipe, title, about, empty }, { wanted, open }, ...tools) {
    const list = h("ol.rows");
    const words = h("p.quiet");
    const note = h("p.note", { hidden: true });
    const root = h("section.shelf", { "aria-label": title },
        h("div.shelf-head", {}, h("h3", {}, title), words, ...tools), note, list);

    const items = new Map(); // id -> li
    const marks = new Map(); // id -> {mark, until}
    let order = [];
    let subject = null;
    let turn = 0;

    /** A row that is new, rose, or says something else lights up for a moment. */
    function light(item) {
        if (calm.matches) return;
        const colour = getComputedStyle(root).getPropertyValue("--glow");
        item.animate([{ backgroundColor: colour }, { backgroundColor: colour, offset: 0.4 }, { backgroundColor: "transparent" }], { duration: LIGHT_MS });
    }

    function fillRow(item, row, meta, product, { same, marked }) {
        const before = item.querySelector(".what")?.textContent;
        const more = row.reason ? [row.reason] : facts(row, meta).slice(0, 2).map(([label, text]) => `${label} ${text}`);
        if (row.source && row.source !== pipe) more.unshift(row.source);
        const mark = marks.get(product.id)?.mark;
        item.firstChild.replaceChildren(tile(product),
            h("span.what", {}, h("span.name", { title: product.title }, product.title),
                h("span.quiet", {}, [lastCategory(product), ...more].filter(Boolean).join(" · "))),
            ...(mark ? [badge(mark)] : []));
        item.firstChild.onclick = () => open(product);
        const other = before !== undefined && before !== item.querySelector(".what").textContent;
        if (same && (other || (mark && !marked))) light(item);
    }

    function place(ids) {
        const focused = document.activeElement;
        const tops = new Map([...items].map(([id, item]) => [id, item.offsetTop]));
        for (const [id, item] of items) {
            if (!ids.includes(id)) { item.remove(); items.delete(id); }
        }
        ids.forEach((id, at) => {
            if (!items.has(id)) items.set(id, h("li", {}, h("button.row", { type: "button" })));
            if (list.children[at] !== items.get(id)) list.insertBefore(items.get(id), list.children[at] ?? null);
        });
        if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
        return () => {
            if (calm.matches) return;
            for (const [id, item] of items) {
                const moved = (tops.get(id) ?? item.offsetTop) - item.offsetTop;
                if (moved) item.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: 250, easing: "ease-out" });
            }
        };
    }

    function render(answer, about_, kept) {
        const rows = new Map(); // a product twice in one answer is shown once, at its better place
        for (const row of answer.data) {
            const product = productOf(row);
            if (product && !rows.has(product.id)) rows.set(product.id, { row, product });
        }
        const ids = [...rows.keys()].slice(0, SHELF_ROWS);
        const now = performance.now();
        for (const [id, { until }] of marks) if (!kept || until < now) marks.delete(id);
        const same = subject === about_;
        const told = [...marks.keys()];
        if (same) {
            for (const [id, mark] of changes(order, ids)) marks.set(id, { mark, until: now + MARK_MS });
        }
        order = ids;
        subject = about_;
        const animate = place(ids);
        for (const id of ids) fillRow(items.get(id), rows.get(id).row, answer.meta, rows.get(id).product, { same, marked: told.includes(id) });
        animate();
        const instead = answer.pipe?.fallback;
        words.textContent = [about_, instead ? `nothing yet, so ${instead}` : ""].filter(Boolean).join(" · ");
        note.textContent = empty;
        note.hidden = Boolean(ids.length);
    }

    /** Ask again and show what changed. Marks go at once, or with `keepMarks` after a few seconds. */
    async function refresh({ fresh = false, keepMarks = false } = {}) {
        const mine = ++turn;
        const want = wanted();
        const about_ = about(want);
        try {
            const answer = lacks(pipe, want.parameters) ? { data: [], meta: [] }
                : await askFor(pipe, { ...want.parameters, limit: SHELF_ROWS }, { fresh });
            if (mine !== turn) return null;
            render(answer, about_, keepMarks);
            return null;
        } catch (problem) {
            if (mine !== turn) return null;
            words.textContent = about_;
            if (subject !== about_) { order = []; place([]); }
            note.textContent = problem.details?.length ? `${problem.message} ${problem.hint ?? ""}` : problem.message;
            note.hidden = false;
            return problem;
        }
    }

    return { root, refresh };
}
