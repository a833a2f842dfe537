/* Show an answer: its statistics, then its rows as products, as a table or as JSON. */
import { address } from "./api.js";
import { bytes, count, duration, h, isNumberType, moment } from "./dom.js";
import { whyHash } from "./route.js";
import { facts, productOf, tile, titleOf } from "./products.js";
import { tabs } from "./tabs.js";

function cards({ data, meta, pipe }) {
    const requested = new Set(data.map((row) => row.item_id));
    const several = meta.some(({ name }) => name === "other_item_id") && requested.size > 1;
    return h("ol.cards", {}, data.map((row) => {
        const product = productOf(row);
        const details = [...(several ? [["for", titleOf(row.item_id)]] : []),
            ...facts(row, meta).filter(([label, text]) => label !== "source" || text !== pipe?.name)];
        return h("li.card", {}, tile(product), h("div.what", {},
            h("p.name", {}, product.title), product.category ? h("p.quiet", {}, product.category) : null,
            row.reason ? h("p.quiet", {}, row.reason) : null,
            h("dl.facts", {}, details.map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text))))));
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
    const { roundTrip, cached, ...body } = answer;
    return h("pre.scroll", { tabIndex: 0, role: "region", "aria-label": "The answer as JSON" }, JSON.stringify(body, null, 2));
}

async function copy(text, element) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    getSelection().selectAllChildren(element); // plain http has no clipboard API
    if (!document.execCommand("copy")) throw new Error("refused");
    return undefined;
}

function copyButton(label, text, element) {
    const button = h("button.small", { type: "button", onclick: async () => {
        button.textContent = await copy(text, element).then(() => "Copied", () => "Could not copy: select the text");
        setTimeout(() => { button.textContent = label; }, 2000);
    } }, label);
    return button;
}

/** The request as a curl command. URLSearchParams has already encoded every quote as %27. */
export function curl(pipe, pairs) {
    const url = h("span", {}, address(pipe, pairs));
    const code = h("code", {}, "curl '", url, "'");
    const files = [".csv", ".ndjson", ".parquet"].map((suffix) =>
        h("a", { href: address(pipe, pairs, suffix), download: pipe + suffix }, suffix.slice(1)));
    return h("div.curl", {}, code, h("div.choice", {}, copyButton("Copy", code.textContent, code), copyButton("Copy URL", url.textContent, url)),
        h("p.quiet", {}, "Download: ", files.flatMap((link, index) => (index ? [", ", link] : [link]))));
}

let view = "Products"; // the chosen tab stays for the next answer

/** The statistics of an answer, as [label, text] pairs. */
function answerStatistics({ rows, statistics = {}, pipe = {}, as_of: asOf, cached, roundTrip }) {
    const queryTime = duration((statistics.elapsed ?? 0) * 1000);
    return [
        ["rows", count(rows)],
        [cached ? "query time when cached" : "query time", queryTime],
        ...(roundTrip === undefined ? [] : [["round trip", duration(roundTrip)]]),
        ["rows read", count(statistics.rows_read)],
        ["data read", bytes(statistics.bytes_read ?? 0)],
        ...(cached === undefined ? [] : [["cache", cached ? "hit" : "miss"]]),
        ["version", pipe.version ?? "–"],
        ...(asOf === undefined ? [] : [["events up to", asOf ? moment(asOf) : "none yet"]]),
    ];
}

export function answerView(answer) {
    const { pipe = {} } = answer;
    const parts = [h("dl.stats", {}, answerStatistics(answer).map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text))))];
    const others = [...new Set(answer.data.map((row) => row.source).filter((source) => source && source !== pipe.name))];
    if (pipe.fallback) {
        parts.push(h("p.notice", {}, h("strong", {}, `${pipe.fallback} answered. `), `${pipe.name} had no rows for these parameters.`));
    } else if (others.length && answer.meta.at(-1)?.name === "source") {
        parts.push(h("p.notice", {}, h("strong", {}, `${others.join(", ")} filled the list. `), `${pipe.name} had too few rows.`));
    }
    if (answer.recommendation_id) parts.push(h("p.quiet", {}, "Request ", h("a", { href: whyHash(answer.recommendation_id) }, answer.request_id)));
    if (!answer.data.length) parts.push(h("p.note", {}, "No rows. Try another value, or create some events in the shop."));
    const views = [["Table", () => table(answer)], ["JSON", () => json(answer)]];
    if (answer.data.length && answer.data.every((row) => productOf(row))) views.unshift(["Products", () => cards(answer)]);
    const first = answer.data.length ? (views.some(([name]) => name === view) ? view : "Table") : "JSON";
    parts.push(...tabs(views, first, { label: "Format of the answer", onchoose: (name) => { view = name; } }));
    return parts;
}
