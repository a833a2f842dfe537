/* A pipe's answer: how it was made, then the rows as products, as a table and as JSON. */
import { address } from "./api.js";
import { count, duration, h, isNumberType, moment, newId } from "./dom.js";
import { facts, productOf, tile, titleOf } from "./products.js";

function cards({ data, meta }) {
    const askedFor = new Set(data.map((row) => row.item_id));
    const several = meta.some(({ name }) => name === "other_item_id") && askedFor.size > 1;
    return h("ol.cards", {}, data.map((row) => {
        const product = productOf(row);
        const told = [...(several ? [["for", titleOf(row.item_id)]] : []), ...facts(row, meta)];
        return h("li.card", {}, tile(product), h("div.what", {},
            h("p.name", {}, product.title), product.category ? h("p.quiet", {}, product.category) : null,
            h("dl.facts", {}, told.map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text))))));
    }));
}

const cell = (value) => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

function table({ data, meta }) {
    const side = ({ type }) => (isNumberType(type) ? "number" : "");
    return h("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Rows as a table" }, h("table", {},
        h("thead", {}, h("tr", {}, meta.map((column) => h("th", { scope: "col", className: side(column) },
            column.name, h("span.quiet", {}, column.type))))),
        h("tbody", {}, data.map((row) => h("tr", {}, meta.map((column) =>
            h("td", { className: side(column) }, cell(row[column.name]))))))));
}

function json(answer) {
    const { roundTrip, ...body } = answer;
    return h("pre.scroll", { tabIndex: 0, role: "region", "aria-label": "The answer as JSON" }, JSON.stringify(body, null, 2));
}

/** Tabs by the ARIA pattern: arrows move between them, one of them is in the tab order. */
function tabs(views, first, onchoose = () => {}) {
    const panel = h("div", { role: "tabpanel", id: newId("panel") });
    const buttons = views.map(([name]) => h("button", { type: "button", role: "tab", id: newId("tab"),
        "aria-controls": panel.id, onclick: () => { choose(name); onchoose(name); } }, name));
    function choose(name) {
        views.forEach(([other], at) => {
            buttons[at].setAttribute("aria-selected", String(other === name));
            buttons[at].tabIndex = other === name ? 0 : -1;
            if (other === name) panel.setAttribute("aria-labelledby", buttons[at].id);
        });
        panel.replaceChildren(views.find(([other]) => other === name)[1]());
    }
    const bar = h("div.tabs", { role: "tablist", "aria-label": "Show the answer as", onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length];
        next.focus();
        next.click();
    } }, buttons);
    choose(first);
    return [bar, panel];
}

async function copy(text, element) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    getSelection().selectAllChildren(element); // plain http has no clipboard API
    if (!document.execCommand("copy")) throw new Error("refused");
    return undefined;
}

/** The same request for a terminal. URLSearchParams has already written every quote as %27. */
export function curl(pipe, pairs) {
    const text = `curl '${address(pipe, pairs)}'`;
    const code = h("code", {}, text);
    const button = h("button.small", { type: "button", onclick: async () => {
        button.textContent = await copy(text, code).then(() => "Copied", () => "Select and copy by hand");
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
    } }, "Copy");
    const files = [".csv", ".ndjson", ".parquet"].map((suffix) =>
        h("a", { href: address(pipe, pairs, suffix), download: pipe + suffix }, suffix.slice(1)));
    return h("div.curl", {}, code, button, h("p.quiet", {}, "Also as ", files.flatMap((link, at) => (at ? [", ", link] : [link]))));
}

let view = "Products"; // the reader's choice outlives the answer

export function answerView(answer) {
    const { rows, statistics = {}, pipe = {}, as_of: asOf } = answer;
    const told = [
        ["rows", count(rows)],
        ["in the engine", duration((statistics.elapsed ?? 0) * 1000)],
        ["round trip", duration(answer.roundTrip)],
        ["rows read", count(statistics.rows_read)],
        ["version", pipe.version ?? "–"],
        ["events up to", asOf ? moment(asOf) : "none yet"],
    ];
    const parts = [h("dl.told", {}, told.map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text))))];
    if (pipe.fallback) {
        parts.push(h("p.notice", {}, h("strong", {}, `${pipe.fallback} answered. `), `${pipe.name} had no rows for these parameters.`));
    }
    if (!answer.data.length) {
        parts.push(h("p.note", {}, "No rows. Try another value, or make some events in the shop above."));
        parts.push(...tabs([["JSON", () => json(answer)]], "JSON"));
        return parts;
    }
    const views = [["Table", () => table(answer)], ["JSON", () => json(answer)]];
    if (answer.data.every((row) => productOf(row))) views.unshift(["Products", () => cards(answer)]);
    const shown = views.some(([name]) => name === view) ? view : "Table";
    parts.push(...tabs(views, shown, (name) => { view = name; }));
    return parts;
}
