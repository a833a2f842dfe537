/* The audit log: who changed what, newest first. Only administrators see it. */
import { loadAudit } from "./api.js";
import { h, moment, newId, problemBox } from "./dom.js";

const ALL = "";
const KINDS = [[ALL, "all actions"], ["key", "keys"], ["token", "tokens"], ["pipe", "pipes"], ["user", "users"], ["items", "catalogue"],
    ["workbench", "logins"], ["migrations", "migrations"], ["load", "loads"], ["counts", "rebuilds"], ["backup", "restores"]];
const TIMES = [["24h", "last 24 hours"], ["7d", "last 7 days"], ["30d", "last 30 days"], [ALL, "all"]];
const ROWS = 200;

const who = ({ actor, actor_name: name, via, address }) => [h("strong", {}, name || actor || "no key"),
    h("span.quiet", {}, [name ? actor : null, via, address].filter(Boolean).join(" · "))];

const text = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value));
const short = (value) => (/^[0-9a-f]{64}$/.test(value) ? value.slice(0, 12) : value);
const isEmpty = (value) => value === null || value === "" || (Array.isArray(value) && !value.length);

const lineKind = (line) => ({ "+": ".added", "-": ".removed" }[line[0]] ?? "");

function details({ diff, added, removed, ...rest }) {
    const fields = Object.entries(rest).filter(([, value]) => !isEmpty(value));
    return [
        fields.length ? h("p.more", {}, fields.map(([name, value]) => h("span", {}, `${name} `, h("span.value", { title: text(value) }, short(text(value)))))) : null,
        diff ? h("details", {}, h("summary", {}, `${added} ${added === 1 ? "line" : "lines"} added, ${removed} removed`),
            h("pre.diff", { tabIndex: 0 }, diff.split("\n").map((line) => h(`span${lineKind(line)}`, {}, `${line}\n`)))) : null,
    ];
}

const row = (entry) => h("li", {},
    h("time", { dateTime: entry.time }, moment(entry.time)),
    h("div.who", {}, who(entry)),
    h("div.what", {}, h("p", {}, h("code", {}, entry.action), entry.object ? h("span.object", {}, ` ${entry.object}`) : null,
        entry.times > 1 ? h("span.quiet", {}, ` ${entry.times} times`) : null), details(entry.detail)),
    h(`span.outcome.${entry.outcome || "begun"}`, {
        title: entry.outcome ? "" : "It was begun, and its end is not known",
    }, entry.outcome || "begun"));

export function makeAudit(section, workbench) {
    if (!workbench.audit) {
        section.append(h("p.notice", {}, "The audit log is for administrators: log in with a key of the role ", h("code", {}, "admin"), "."));
        return { enter: () => {}, leave: () => {} };
    }
    const select = (choices, chosen) => h("select", { id: newId("filter"), onchange: () => refresh() },
        choices.map(([value, label]) => h("option", { value, selected: value === chosen }, label)));
    const action = select(KINDS, ALL);
    const since = select(TIMES, "7d");
    const actor = h("input", { id: newId("filter"), type: "search", placeholder: "key, name or address", spellcheck: false, onchange: () => refresh() });
    const field = (label, control) => h("div.field", {}, h("label", { htmlFor: control.id }, label), control);
    const problem = h("div", { "aria-live": "polite" });
    const note = h("p.note", { role: "status" });
    const list = h("ol.audit", { "aria-label": "Entries" });
    section.append(h("form.filters", { onsubmit: (event) => { event.preventDefault(); refresh(); } },
        field("Action", action), field("Time", since), field("Actor", actor), h("button", { type: "submit" }, "Refresh")), problem, note, list);

    async function refresh() {
        try {
            const pairs = [["action", action.value], ["since", since.value], ["actor", actor.value.trim()], ["limit", ROWS]];
            const { entries } = await loadAudit(pairs.filter(([, value]) => value !== ""));
            problem.replaceChildren();
            note.textContent = entries.length === ROWS ? `The newest ${ROWS} entries.`
                : entries.length ? `${entries.length} ${entries.length === 1 ? "entry" : "entries"}.` : "Nothing was changed in this time.";
            list.replaceChildren(...entries.map(row));
        } catch (error) {
            problem.replaceChildren(problemBox(error));
        }
    }

    return { enter: () => { refresh(); }, leave: () => {}, filter: () => actor };
}
