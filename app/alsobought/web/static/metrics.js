/* What recommendations lead to: rates and revenue by surface, day and more, from the pipes of metrics. */
import { run } from "./api.js";
import { bandChart, barChart } from "./chart.js";
import { count, h, newId, problemBox } from "./dom.js";

const PERIODS = [[1, "last 24 hours"], [7, "last 7 days"], [14, "last 14 days"], [28, "last 28 days"]];
const BY = ["surface", "pipe", "version", "variant", "position", "segment"];
const MODELS = [["last_touch", "last touch"], ["position_weighted", "first and last most"]];
const FAULTS = {
    forged: "events with an id that this service did not sign", expired: "events after their list had expired",
    unlisted: "items that their list did not have", without_impression: "items clicked without an impression",
    without_position: "impressions without a position",
};

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const money = (amount) => amount.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const range = (row, name, form) => `${form(row[`${name}_low`])} – ${form(row[`${name}_high`])}`;

const COLUMNS = [
    ["Impressions", (row) => count(row.impressions)],
    ["Click-through rate", (row) => percent(row.click_through_rate), (row) => range(row, "click_through_rate", percent)],
    ["Conversion rate", (row) => percent(row.conversion_rate), (row) => range(row, "conversion_rate", percent)],
    ["Revenue", (row) => money(row.revenue), (row) => (row.view_through_revenue ? `+ ${money(row.view_through_revenue)} view-through` : "")],
    ["Per 1,000 impressions", (row) => money(row.revenue_per_thousand), (row) => range(row, "revenue_per_thousand", money)],
    ["Share of revenue", (row) => percent(row.share_of_revenue)],
];

/** Key figures of the whole period, as [label, text, note] triples. */
const keyFigures = (row) => [
    ["impressions", count(row.impressions), `${count(row.sessions)} sessions`],
    ["click-through rate", percent(row.click_through_rate), range(row, "click_through_rate", percent)],
    ["conversion rate", percent(row.conversion_rate), `of ${count(row.clicks)} clicks`],
    ["revenue after a click", money(row.revenue), `${percent(row.share_of_revenue)} of all`],
    ["per session with lists", money(row.revenue_per_session), range(row, "revenue_per_session", money)],
    ["average order", money(row.average_order_value), `${money(row.average_order_value_without)} without`],
];

const milliseconds = (number) => `${number.toFixed(1)} ms`;

/** Of a shadow and, if shown lists explored, the estimate of its click-through rate. */
const SHADOW_COLUMNS = [
    ["Requests", (row) => count(row.pairs), (row) => (row.errors ? `${count(row.errors)} errors` : "")],
    ["Overlap", (row) => row.overlap.toFixed(3), () => "rank-biased"],
    ["Empty", (row) => percent(row.shadow_empty), (row) => `${percent(row.empty)} shown`],
    ["Median time", (row) => milliseconds(row.shadow_median_ms), (row) => `${milliseconds(row.median_ms)} shown`],
    ["Clicked items listed", (row) => `${count(row.clicks_listed)} of ${count(row.clicks)}`,
        (row) => (row.clicks_listed ? `${count(row.clicks_higher)} higher, ${count(row.clicks_lower)} lower` : "")],
    ["Click-through rate, estimated", (row, estimate) => (estimate?.effective_impressions ? percent(estimate.shadow_click_through_rate) : "–"),
        (row, estimate) => (estimate?.effective_impressions ? `${range(estimate, "shadow_click_through_rate", percent)}; ${percent(estimate.click_through_rate)} shown`
            : estimate ? "no choice had a chance" : "no list explored")],
];

const shadowKey = (row) => JSON.stringify([row.surface, row.pipe, row.shadow]);

function shadowTable(rows, estimates) {
    const found = new Map(estimates.map((row) => [shadowKey(row), row]));
    return h("table.metrics", {}, h("caption.hidden", {}, "Shadows beside what was shown"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "surface"), SHADOW_COLUMNS.map(([title]) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.surface, h("span.quiet", {}, `${row.shadow} beside ${row.pipe}`)),
            SHADOW_COLUMNS.map(([, text, note]) => cell(text(row, found.get(shadowKey(row))), note?.(row, found.get(shadowKey(row)))))))));
}

const cell = (text, note) => h("td", {}, text, note ? h("span.quiet", {}, note) : null);

function tableOf(by, rows, chosen, choose) {
    const nameOf = (row) => (by === "surface" ? h("button.link", {
        type: "button", "aria-pressed": String(row.value === chosen), onclick: () => choose(row.value === chosen ? "" : row.value),
    }, row.value) : row.value || "–");
    return h("table.metrics", {}, h("caption.hidden", {}, `Metrics by ${by}`),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, by), COLUMNS.map(([title]) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, nameOf(row)),
            COLUMNS.map(([, text, note]) => cell(text(row), note?.(row)))))));
}

export function makeMetrics(section, workbench) {
    if (!workbench.open) {
        section.append(h("p.notice", {}, "Revenue is nobody's business without a key: log in with a key of the role ", h("code", {}, "analyst"), "."));
        return { enter: () => {}, leave: () => {} };
    }
    const select = (choices, chosen) => h("select", { id: newId("filter"), onchange: () => refresh() },
        choices.map(([value, label]) => h("option", { value, selected: value === chosen }, label)));
    const period = select(PERIODS, 7);
    const by = select(BY.map((name) => [name, name]), "surface");
    const model = select(MODELS, "last_touch");
    const field = (label, control) => h("div.field", {}, h("label", { htmlFor: control.id }, label), control);
    const problem = h("div", { "aria-live": "polite" });
    const note = h("p.note", { role: "status" });
    const figures = h("dl.figures");
    const rate = bandChart("Click-through rate by day", percent);
    const revenue = barChart("Revenue after a click by day", money);
    const of = h("p.quiet");
    const charts = h("div.halves", {},
        h("section.sheet", { "aria-label": "Click-through rate" }, h("h2", {}, "Click-through rate"), h("p.quiet", {}, "by day, with its 95 % interval"), rate.root),
        h("section.sheet", { "aria-label": "Revenue" }, h("h2", {}, "Revenue"), h("p.quiet", {}, "after a click, by day of the purchase"), revenue.root));
    const table = h("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Metrics" });
    const faults = h("ul.faults", { "aria-label": "Faults" });
    const shadowRows = h("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Shadows" });
    const shadows = h("section", { "aria-label": "Shadows of surfaces", hidden: true }, h("h2", {}, "Shadows"),
        h("p.quiet", {}, "Pipes that are asked beside what is shown, and never shown. Items that only a shadow lists cannot be clicked."), shadowRows);
    let surface = "";
    section.append(h("form.filters", { onsubmit: (event) => { event.preventDefault(); refresh(); } },
        field("Period", period), field("By", by), field("Attribution", model), h("button", { type: "submit" }, "Refresh")),
    problem, note, figures, of, charts, table, shadows, faults);

    async function refresh() {
        const until = new Date();
        const since = new Date(until - period.value * 86_400_000);
        const pairs = [["since", since.toISOString()], ["until", until.toISOString()]];
        const ask = (split, more = []) => run("recommendation_metrics", [...pairs, ["by", split], ["model", model.value], ["limit", 1000], ...more]);
        const only = surface ? [["surface", surface]] : [];
        try {
            showShadows([...pairs, ...only]);
            const [total, parts, days, wrong] = (await Promise.all([ask("total", only), ask(by.value), ask("day", only),
                run("recommendation_faults", pairs)])).map(({ data }) => data);
            problem.replaceChildren();
            const isEmpty = !total.length || !(total[0].impressions || total[0].clicks);
            note.textContent = isEmpty ? "No event of this time brought back a recommendation_id. Send the recommendation_id of an answer "
                + "with the events of the items that it shows." : "";
            of.textContent = surface ? `Figures and charts: ${surface} only.` : "";
            charts.hidden = figures.hidden = table.hidden = isEmpty;
            if (isEmpty) { faults.replaceChildren(); return; }
            figures.replaceChildren(...keyFigures(total[0]).map(([label, text, remark]) =>
                h("div", {}, h("dt", {}, label), h("dd", {}, text, remark ? h("span.quiet", {}, remark) : null))));
            rate.show(days.map((row) => ({ label: row.value, value: row.click_through_rate, low: row.click_through_rate_low, high: row.click_through_rate_high, none: !row.impressions })));
            revenue.show(days.map((row) => ({ label: row.value, value: row.revenue })));
            table.replaceChildren(tableOf(by.value, parts, surface, (value) => { surface = value; refresh(); }));
            faults.replaceChildren(...wrong.filter((row) => row.number).map((row) =>
                h("li", {}, h("strong", {}, count(row.number)), ` ${FAULTS[row.fault] ?? row.fault}`, h("span.quiet", {}, ` ${percent(row.share)}`))));
        } catch (error) {
            problem.replaceChildren(problemBox(error));
        }
    }

    /** A project from before the two pipes has no shadows. */
    async function showShadows(pairs) {
        const ask = (name) => run(name, pairs).then(({ data }) => data, () => []);
        const [rows, estimates] = await Promise.all([ask("shadow_metrics"), ask("shadow_estimates")]);
        shadows.hidden = !rows.length;
        shadowRows.replaceChildren(...(rows.length ? [shadowTable(rows, estimates)] : []));
    }

    return { enter: () => { refresh(); }, leave: () => {}, filter: () => by };
}
