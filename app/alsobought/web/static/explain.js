/* Explain an answer: its query with the bound values, the query plan, the column lineage, and the file of the pipe. */
import { loadPlan, loadSource, loadSql } from "./api.js";
import { bytes, count, h } from "./dom.js";
import { lineageView } from "./lineage.js";
import { codeBlock } from "./sql.js";
import { tabs } from "./tabs.js";

let view = "SQL"; // the chosen tab stays for the next pipe

const asText = (value) => (Array.isArray(value) ? value.map(asText).join(", ") : String(value));

function valuesTable(values) {
    return h("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Values bound to the query" }, h("table", {},
        h("thead", {}, h("tr", {}, ["name", "type", "value"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, values.map(({ name, type, value }) => h("tr", {},
            h("td", {}, h("code", {}, name)), h("td", {}, h("code", {}, type)), h("td", {}, asText(value)))))));
}

const rules = ({ version, cache_seconds: seconds, cache_until: until, cache_events: events, fallback }) => [
    ["version", version],
    ["cached", seconds ? `${seconds} s${until ? `, or until: ${events.join(" or ") || "an event"} of the ${until}` : ", or until any event"}` : "no"],
    ["short lists", fallback ? `filled by ${fallback}` : "not filled"],
];

function findingsList(findings) {
    return h("ul.findings", {}, findings.map(({ severity, line, message, hint }) => h(`li.${severity}`, {},
        h("strong", {}, line ? `line ${line}` : "the file"), ` ${message}`, hint ? h("span.quiet", {}, ` ${hint}`) : null)));
}

/** "3 of 120", with a bar of that share. */
function shareCell(part) {
    if (!part) return h("td.number", {}, "–");
    return h("td.number", {}, `${count(part.read)} of ${count(part.of)}`,
        h("meter", { max: Math.max(part.of, 1), value: part.read, "aria-hidden": "true" }));
}

/** The part of each table that the request reads. */
function planView({ tables, statistics }) {
    const fullScans = tables.filter((read) => read.whole && read.granules?.of > 1).map((read) => read.table);
    return [
        h("p", {}, `One run read ${count(statistics.rows_read)} rows (${bytes(statistics.bytes_read)}).`),
        ...(fullScans.length ? [h("p.notice", {}, h("strong", {}, `Full scan of ${fullScans.join(", ")}. `), "No index applies, so the cost grows with the table.")] : []),
        h("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Tables read by the query" }, h("table", {},
            h("thead", {}, h("tr", {}, ["table", "granules", "parts", "rows (at most)", "index columns"].map((text, index) =>
                h("th", { scope: "col", className: index && index < 4 ? "number" : "" }, text)))),
            h("tbody", {}, tables.map((read) => h("tr", {}, h("td", {}, h("code", {}, read.table)), shareCell(read.granules), shareCell(read.parts), shareCell(read.rows),
                h("td", {}, read.keys.length ? h("code", {}, read.keys.join(", ")) : read.granules ? "full scan" : "in memory")))))),
        h("p.quiet", {}, "A granule is 8,192 rows, the smallest unit that ClickHouse reads."),
    ];
}

export function makeExplanation(pipe) {
    const root = h("section.explanation", { "aria-label": "How the answer is computed" });
    let source = null;
    let query = null;
    let plan = null; // loaded only when its tab is open: it runs the query once more
    let failure = null;
    let values = null;

    const waiting = () => h("p.note", {}, failure ? failure.message : "…");
    function sql() {
        if (!query) return h("p.note", {}, values ? failure?.message ?? "…" : "Run the pipe to see its query.");
        return [codeBlock(query.sql, { label: "The query" }), valuesTable(query.values)];
    }
    function planTab() {
        if (plan?.pairs === values) return plan.tables ? planView(plan) : h("p.note", {}, plan.problem ?? "…");
        if (!values) return h("p.note", {}, "Run the pipe to see its plan.");
        const mine = plan = { pairs: values };
        loadPlan(pipe.name, values).then((loaded) => Object.assign(mine, loaded), (problem) => { mine.problem = problem.message; })
            .then(() => { if (plan === mine && view === "Plan") draw(); });
        return h("p.note", {}, "…");
    }
    const lineage = () => (source?.serving ? lineageView(pipe.name, source.serving) : waiting());
    function file() {
        if (!source) return waiting();
        const { serving, findings } = source;
        return [serving ? h("dl.stats", {}, rules(serving).map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text)))) : null,
            findings.length ? findingsList(findings) : null,
            codeBlock(source.text, { label: source.file, findings })].filter(Boolean);
    }

    function draw() {
        const views = [["SQL", sql], ["Plan", planTab], ["Lineage", lineage], ["File", file]];
        root.replaceChildren(...tabs(pipe.ready === false ? views.slice(3) : views, view,
            { label: "How the answer is computed", onchoose: (name) => { view = name; } }));
    }

    async function load(request) {
        try {
            await request();
            failure = null;
        } catch (problem) {
            failure = problem;
        }
        draw();
    }

    draw();
    return {
        root,
        /** Explain the answer to these parameters. */
        show(pairs) {
            values = pairs;
            load(async () => {
                query = null;
                const loaded = await loadSql(pipe.name, pairs);
                if (values === pairs) query = loaded;
            });
        },
        refresh: () => load(async () => { source = await loadSource(pipe.name); }),
    };
}
