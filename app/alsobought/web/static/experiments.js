/* Experiments: a list, and for each what it shows and what to do, in words that need no statistics; the numbers are below them. */
import { loadExperiment, loadExperiments } from "./api.js";
import { count, h, problemBox, withCode } from "./dom.js";
import { liftChart } from "./lift_chart.js";
import { experimentHash } from "./route.js";

const COLUMNS = ["Variant", "Share", "Units", "Level", "Lift", "Between", "State"];
const GOOD = ["wins"];
const BAD = ["loses", "stopped"];

const stateOf = (text) => h(`span.state${GOOD.includes(text) ? ".ready" : BAD.includes(text) ? ".broken" : ".stale"}`, {}, text);

const card = ({ name, surface, state, variants }) => h("li", {},
    h("a.pipe", { href: experimentHash(name) }, h("span.head", {}, h("span.name", {}, name), h(`span.state${state === "running" ? ".ready" : ".stale"}`, {}, state)),
        h("span.quiet", {}, `on ${surface}: ${variants.join(", ")}`)));

function variantTable({ variants, unit }) {
    const rows = variants.map(({ row }) => h("tr", {}, h("th", { scope: "row" }, row[0]),
        row.slice(1, -1).map((cell) => h("td", {}, cell || "–")), h("td", {}, ["control", "holdout"].includes(row.at(-1)) ? row.at(-1) : stateOf(row.at(-1)))));
    return h("div.wide", { tabIndex: 0, role: "region", "aria-label": "Variants" }, h("table", {},
        h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name === "Units" ? `${unit[0].toUpperCase()}${unit.slice(1)}s` : name)))),
        h("tbody", {}, rows)));
}

/** The lift of a variant over the days. */
function lifts({ variants }) {
    return variants.filter(({ comparison }) => comparison).map(({ name, comparison, precision }) => h("section.sheet", { "aria-label": `Lift of ${name}` },
        h("h2", {}, `${name}, compared with ${variants[0].name}`),
        comparison.points.length ? liftChart(comparison.points, `Lift in ${comparison.title}`) : h("p.note", {}, "Too little is known for a picture yet."),
        precision ? h("p.quiet", {}, precision) : null));
}

function checks({ variants, sample_ratios: ratios, crossed, unit }) {
    const guardrails = variants.flatMap(({ name, guardrails: results, guardrail_sentences: texts }) =>
        results.map(({ breached }, index) => h(`li${breached ? ".wrong" : ""}`, {}, h("strong", {}, name), ` ${texts[index]}`)));
    return h("section.sheet.checks", { "aria-label": "Checks" },
        h("h2", {}, "Guardrails"),
        guardrails.length ? h("ul", {}, guardrails) : h("p.quiet", {}, "None. With one, a variant that harms another metric is stopped by itself."),
        h("h2", {}, "Split"),
        h("ul", {}, ratios.map(({ sentence, broken }) => h(`li${broken ? ".wrong" : ""}`, {}, sentence)),
            crossed ? h("li", {}, `${count(crossed)} ${unit}s saw two variants and are left out`) : null));
}

/** A point of a preference is what the share is above or below one half. */
const shareOf = (value) => `${Math.round((value + 0.5) * 100)} %`;

/** What interleaved lists show: one picture and the counts, since no variant has units of its own. */
function preferenceSheet({ preference: { points, facts }, variants }) {
    const [first, second] = variants.map(({ name }) => name);
    return h("section.sheet.checks", { "aria-label": "Preference" }, h("h2", {}, `${second} or ${first}`),
        points.length ? liftChart(points, `Share of the lists won by ${second}`, shareOf) : h("p.note", {}, "Too little is known for a picture yet."),
        h("ul", {}, facts.map((fact) => h("li", {}, fact))),
        h("p.quiet", {}, "Both variants fill one list in turns. It is won by the one more of whose items are chosen: this says which list is better, not what it earns."));
}

function holdoutSheet({ holdout, holdout_sentence: sentence, surface }) {
    if (!sentence) return null;
    return h("section.sheet", { "aria-label": "Holdout" }, h("h2", {}, `What recommendations on ${surface} earn`), h("p", {}, sentence),
        holdout.points.length ? liftChart(holdout.points, `Lift in ${holdout.title} over showing nothing`) : null,
        h("p.quiet", {}, "All who asked for the surface are compared, whether they saw a list or not: a holdout sees none."));
}

function decision(report) {
    const until = report.until ? ` until ${report.until}` : "";
    return [
        h("p.back", {}, h("a", { href: "#/experiments" }, "← all experiments")),
        h("div.head", {}, h("h1", { tabIndex: -1 }, report.name), h(`span.state${report.state === "running" ? ".ready" : ".stale"}`, {}, report.state)),
        h("p.quiet", {}, `on ${report.surface}, since ${report.since}${until}; day ${report.day}`),
        h(`div.decision${report.split_broken ? ".bad" : ""}`, { role: "status" }, h("p.headline", {}, report.headline), h("p", {}, withCode(report.advice))),
        ...(report.preference ? [preferenceSheet(report)] : [...lifts(report), variantTable(report), checks(report), holdoutSheet(report)]),
    ].filter(Boolean);
}

export function makeExperiments(section, workbench) {
    if (!workbench.open) {
        section.append(h("p.notice", {}, "Without keys only browsers on the service's own machine see experiments. With ",
            h("code", {}, "alsobought key create NAME --role analyst"), " others can log in."));
        return { enter: () => {}, leave: () => {} };
    }
    const body = h("div.experiments", { "aria-live": "polite" });
    section.append(body);
    let wanted = "";

    async function list() {
        const { experiments } = await loadExperiments();
        return experiments.length ? [h("ul.pipes", {}, experiments.map(card))]
            : [h("p.notice", {}, "There is no experiment yet. ", h("code", {}, "sql/experiments.yaml"), " describes them: a surface, and the variants of its list.")];
    }

    async function show(name) {
        wanted = name;
        section.querySelector(".title").hidden = Boolean(name);
        body.replaceChildren(h("p.quiet", {}, "Loading…"));
        let shown;
        try {
            shown = name ? decision(await loadExperiment(name)) : await list();
        } catch (error) {
            shown = [h("p.back", {}, h("a", { href: "#/experiments" }, "← all experiments")), problemBox(error)];
        }
        if (wanted === name) body.replaceChildren(...shown);
    }

    return { enter: ({ name }) => { show(name); }, leave: () => {} };
}
