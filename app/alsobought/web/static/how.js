/* How an answer was made: the one query with its values, where the columns come from, and the file of the pipe. */
import { loadPlan, loadSource, loadSql } from "./api.js";
import { bytes, count, h } from "./dom.js";
import { lineageView } from "./lineage.js";
import { codeBlock } from "./sql.js";
import { tabs } from "./tabs.js";

let view = "SQL"; // the reader's choice outlives the pipe

const asText = (value) => (Array.isArray(value) ? value.map(asText).join(", ") : String(value));

function valuesTable(values) {
    return h("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Values bound to the query" }, h("table", {},
        h("thead", {}, h("tr", {}, ["name", "type", "value"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, values.map(({ name, type, value }) => h("tr", {},
            h("td", {}, h("code", {}, name)), h("td", {}, h("code", {}, type)), h("td", {}, asText(value)))))));
}

const rules = ({ version, cache_seconds: seconds, cache_until: until, fallback }) => [
    ["version", version],
    ["an answer is kept", seconds ? `${seconds} s${until ? ` or until an event touches its ${until}` : ""}` : "no"],
    ["too few rows", fallback ? `${fallback} fills the list` : "the list is short"],
];

function findingsList(findings) {
    return h("ul.findings", {}, findings.map((one) => h(`li.${one.severity}`, {},
        h("strong", {}, one.line ? `line ${one.line}` : "the file"), ` ${one.message}`, one.hint ? h("span.quiet", {}, ` ${one.hint}`) : null)));
}

/** "3 of 120", and a bar of that share. */
function share(part) {
    if (!part) return h("td.number", {}, "–");
    return h("td.number", {}, `${count(part.read)} of ${count(part.of)}`,
        h("meter", { max: Math.max(part.of, 1), value: part.read, "aria-hidden": "true" }));
}

/** What of each table one request reads. */
function planView({ tables, statistics }) {
    const big = tables.filter((one) => one.whole && one.granules?.of > 1).map((one) => one.table);
    return [
        h("p", {}, `One run read ${count(statistics.rows_read)} rows, ${bytes(statistics.bytes_read)}.`),
        ...(big.length ? [h("p.notice", {}, h("strong", {}, `${big.join(", ")}: `), "no index chose, so all of it is read, however large it grows.")] : []),
        h("div.scroll", { tabIndex: 0, role: "region", "aria-label": "What is read of each table" }, h("table", {},
            h("thead", {}, h("tr", {}, ["table", "granules", "parts", "rows at most", "chosen by"].map((text, at) =>
                h("th", { scope: "col", className: at && at < 4 ? "number" : "" }, text)))),
            h("tbody", {}, tables.map((one) => h("tr", {}, h("td", {}, h("code", {}, one.table)), share(one.granules), share(one.parts), share(one.rows),
                h("td", {}, one.keys.length ? h("code", {}, one.keys.join(", ")) : one.granules ? "read whole" : "in memory")))))),
        h("p.quiet", {}, "A granule is 8,192 rows, the least that is read."),
    ];
}

export function makeHow(pipe) {
    const root = h("section.how", { "aria-label": "How the answer is made" });
    let source = null;
    let query = null;
    let plan = null; // asked for only while it is looked at: it runs the query once more
    let wrong = null;
    let given = null;

    const waiting = () => h("p.note", {}, wrong ? wrong.message : "…");
    function sql() {
        if (!query) return h("p.note", {}, given ? wrong?.message ?? "…" : "Ask, and the query stands here.");
        return [codeBlock(query.sql, { label: "The query" }), valuesTable(query.values)];
    }
    function planned() {
        if (plan?.pairs === given) return plan.tables ? planView(plan) : h("p.note", {}, plan.problem ?? "…");
        if (!given) return h("p.note", {}, "Ask, and the plan stands here.");
        const mine = plan = { pairs: given };
        loadPlan(pipe.name, given).then((got) => Object.assign(mine, got), (problem) => { mine.problem = problem.message; })
            .then(() => { if (plan === mine && view === "Plan") draw(); });
        return h("p.note", {}, "…");
    }
    const lineage = () => (source?.answering ? lineageView(pipe.name, source.answering) : waiting());
    function file() {
        if (!source) return waiting();
        const { answering, findings } = source;
        return [answering ? h("dl.told", {}, rules(answering).map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text)))) : null,
            findings.length ? findingsList(findings) : null,
            codeBlock(source.text, { label: source.file, findings })].filter(Boolean);
    }

    function draw() {
        const views = [["SQL", sql], ["Plan", planned], ["Lineage", lineage], ["File", file]];
        root.replaceChildren(...tabs(pipe.ready === false ? views.slice(3) : views, view,
            { label: "How the answer is made", onchoose: (name) => { view = name; } }));
    }

    async function load(what) {
        try {
            await what();
            wrong = null;
        } catch (problem) {
            wrong = problem;
        }
        draw();
    }

    draw();
    return {
        root,
        /** These are the parameters of the answer beside it. */
        about(pairs) {
            given = pairs;
            load(async () => {
                query = null;
                const got = await loadSql(pipe.name, pairs);
                if (given === pairs) query = got;
            });
        },
        refresh: () => load(async () => { source = await loadSource(pipe.name); }),
    };
}
