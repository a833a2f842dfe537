/* Why a user saw a list: what was shown and what followed, beside the answer to the same request now. */
import { loadWhy } from "./api.js";
import { count, h, moment, newId, problemBox, short } from "./dom.js";
import { tile, titleOf } from "./products.js";
import { pipeHash, whyHash } from "./route.js";

const VERBS = { pin: "pinned to", boost: "boosted by", hide: "hidden" };
const DONE = { impression: "seen", click: "clicked", view: "viewed", add_to_cart: "put into the cart", purchase: "bought" };

const ruleText = ({ action, value }) => [VERBS[action], value].filter((part) => part !== null).join(" ");
const number = (value) => short(value, "Float64");

function facts({ request, again }) {
    const { time, surface, pipe, version, experiment, variant, unit, fallback, cached, status, error } = request;
    return [
        ["time", moment(time)],
        ...(surface ? [["surface", surface]] : []),
        ["pipe", pipe],
        ["version", version],
        ...(again.same_version ? [] : [["version now", again.version || "gone"]]),
        ...(experiment ? [["variant", `${variant} of ${experiment}`], ["drawn for", unit]] : []),
        ...(fallback ? [["filled by", fallback]] : []),
        ...(cached ? [["answered", "from the cache"]] : []),
        ...(error ? [["error", `${error}, status ${status}`]] : []),
    ];
}

function laterList(later) {
    const entries = Object.entries(later);
    if (!entries.length) return null;
    return h("ul.later", {}, entries.map(([type, { time, linked }]) => h(`li.${type}`, {}, `${DONE[type] ?? type.replaceAll("_", " ")} ${moment(time)}`,
        linked ? null : h("span.quiet", {}, " without the id"))));
}

function entry(item, position, change, more) {
    const product = { id: item.item_id, title: item.title || titleOf(item.item_id), category: "" };
    const details = [item.score === null ? null : `score ${number(item.score)}`, item.propensity > 0 && item.propensity < 1 ? `propensity ${number(item.propensity)}` : null,
        item.source, item.team ? `picked by ${item.team}` : null].filter(Boolean);
    return h("li", {}, h("span.position", {}, position), tile(product), h("div.what", {}, h("p.name", {}, product.title),
        h("p.quiet", {}, details.join(" · ")), more), change ? h("span.badge", {}, change) : null);
}

function shownList({ items, rules, again }) {
    const byLine = new Map(rules.map((rule) => [rule.line, rule]));
    return h("ol.entries", { "aria-label": "The list then" }, items.map((item) => {
        const change = again.problem ? "" : item.again === null ? "gone now" : item.again === item.position ? "" : `now ${item.again}`;
        const concerned = item.rules.map((line) => ruleText(byLine.get(line))).join(", ");
        return entry(item, item.position, change, [concerned ? h("p.quiet", {}, h("strong", {}, concerned)) : null, laterList(item.later)].filter(Boolean));
    }));
}

const nowList = ({ again }) => h("ol.entries", { "aria-label": "The list now" }, again.items.map((item) =>
    entry(item, item.position, item.was === null ? "new" : item.was === item.position ? "" : `was ${item.was}`,
        item.reason ? [h("p.quiet", {}, item.reason)] : [])));

function againNote({ again }) {
    if (again.problem) return h("p.notice", {}, h("strong", {}, "It cannot be asked again. "), again.problem);
    const moved = again.events_since ? `The counts have moved on by ${count(again.events_since)} events.` : "No event came since.";
    return h("p.note", {}, `${again.differs ? "The list differs." : "The list is the same."} ${moved} The clock is that of then.`);
}

function hiddenRules(rules) {
    const hidden = rules.filter(({ action }) => action === "hide");
    if (!hidden.length) return null;
    return h("p.note", {}, "Hidden here by sql/rules.csv: ", hidden.map((rule) => rule.item_id || rule.category).join(", "));
}

function explanation(why) {
    const { pipe, parameters, shadow_of: shadowOf } = why.request;
    const pairs = Object.entries(parameters ?? {}).flatMap(([name, values]) => values.map((value) => [name, String(value)]));
    return [
        h("dl.stats", {}, facts(why).map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text)))),
        h("p.asked", {}, "Asked: ", h("a", { href: pipeHash(pipe, pairs) }, h("code", {}, [pipe, ...pairs.map((pair) => pair.join("="))].join(" ")))),
        shadowOf ? h("p.notice", {}, h("strong", {}, "Nobody saw this list. "), "It was asked in the shadow of ", h("a", { href: whyHash(shadowOf) }, shadowOf), ".") : null,
        changedNote(why),
        why.rules_changed ? h("p.notice", {}, h("strong", {}, "sql/rules.csv was saved since. "), "The rules below are those of now.") : null,
        h("div.halves", {},
            h("section.sheet", { "aria-label": "Then" }, h("h2", {}, "Then"), why.items.length ? shownList(why) : h("p.note", {}, why.holdout ? "Nothing was shown: the variant is a holdout." : "Nothing was shown."), hiddenRules(why.rules)),
            h("section.sheet", { "aria-label": "Now" }, h("h2", {}, "Now"), ...(why.holdout ? [h("p.note", {}, "Nothing is shown in a holdout.")] : [againNote(why), nowList(why)]))),
        why.others.length ? h("div", {}, h("h3", {}, "Other lists of this request"), h("ul", {}, why.others.map((other) => h("li", {},
            h("a", { href: whyHash(other.recommendation_id) }, other.surface || other.pipe), other.shadow ? " in the shadow" : "")))) : null,
    ].filter(Boolean);
}

const changedNote = ({ again }) => (again.same_version ? null
    : h("p.notice", {}, h("strong", {}, "Changed since. "), "The text of the pipe, its macros or its CSV files are not those of then."));

export function makeWhy(section, workbench) {
    if (!workbench.open) {
        section.append(h("p.notice", {}, "What users saw is personal: log in with a key of the role ", h("code", {}, "analyst"), " or ", h("code", {}, "admin"), "."));
        return { enter: () => {}, leave: () => {} };
    }
    const field = h("input", { id: newId("id"), type: "search", placeholder: "fddfb04eafd94fe7", spellcheck: false, autocomplete: "off" });
    const result = h("div.why", { "aria-live": "polite" });
    section.append(h("form.filters", { onsubmit: (event) => {
        event.preventDefault();
        if (field.value.trim()) location.hash = whyHash(field.value.trim());
    } }, h("div.field", {}, h("label", { htmlFor: field.id }, "Request id, or recommendation id"), field), h("button.main", { type: "submit" }, "Explain")), result);
    let turn = 0;

    async function show(id) {
        const mine = ++turn;
        field.value = id;
        if (!id) {
            result.replaceChildren(h("p.note", {}, "Every answer has a ", h("code", {}, "request_id"), " and a ", h("code", {}, "recommendation_id"), "."));
            return;
        }
        try {
            const why = await loadWhy(id);
            if (mine === turn) result.replaceChildren(...explanation(why));
        } catch (error) {
            if (mine === turn) result.replaceChildren(problemBox({ message: error.message, hint: error.hint, details: error.details }));
        }
    }

    return { enter: ({ name }) => { show(name); }, leave: () => {}, filter: () => field };
}
