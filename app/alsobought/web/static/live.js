/* The live view: the newest events, events per second, what waits, and trending products. Polled every second while visible. */
import { loadLive } from "./api.js";
import { secondsChart, trendingChart } from "./chart.js";
import { count, h, moment, problemBox } from "./dom.js";
import { productOf } from "./products.js";

const POLL_MS = 1000;
const TREND_ROWS = 8;
const MAX_EVENTS = 60; // in the list

const seconds = (number) => (number < 0 ? "–" : number < 10 ? `${number.toFixed(number < 1 ? 2 : 1)} s`
    : number < 120 ? `${Math.round(number)} s` : number < 7200 ? `${Math.round(number / 60)} min` : `${Math.round(number / 3600)} h`);

/** The median, which a single late event does not change. */
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Key figures, as [label, text, note] triples. */
function keyFigures({ now, as_of: asOf, total, per_second: counts, waiting, kafka, newest }) {
    const complete = counts.slice(0, -1); // the current second is not over
    const rate = complete.slice(-10).reduce((sum, events) => sum + events, 0) / 10;
    const figures = [
        ["events per second", rate < 10 ? rate.toFixed(1) : count(rate), "in the last ten seconds"],
        ["events in the last minute", count(counts.reduce((sum, events) => sum + events, 0)), ""],
        ["events in total", count(total), ""],
        ["last event stored", asOf ? `${seconds((Date.parse(now) - Date.parse(asOf)) / 1000)} ago` : "none yet", ""],
        ["delay until stored", newest.length ? seconds(median(newest.map(({ delay }) => delay))) : "–", "median of the listed events"],
        ["waiting for the writer", count(waiting), "events and items"],
    ];
    if (kafka) {
        figures.push(["Kafka lag", kafka.lag === null ? "?" : count(kafka.lag), kafka.problem || "messages, updated every 15 s"],
            ["dead letters", count(kafka.dead_letters), kafka.dead_letters ? "alsobought dead-letters ls" : ""]);
    }
    return figures;
}

function eventRow({ seq, at, event_type: type, title, item_id: item, user_id: user }) {
    return h("li", { id: `event-${seq}` }, h("time", {}, moment(at)), h(`span.kind.${type}`, {}, type.replaceAll("_", " ")),
        h("span.name", {}, title || item), h("span.quiet", {}, user));
}

export function makeLive(section, workbench) {
    if (!workbench.open) {
        section.append(h("p.notice", {}, "Live events show what users do, so without keys only browsers on the service's own machine see them. With ",
            h("code", {}, "alsobought key create NAME --role analyst"), " others can log in."));
        return { enter: () => {}, leave: () => {} };
    }
    const figures = h("dl.figures");
    const alarms = h("div");
    const perSecond = secondsChart();
    const trend = trendingChart();
    const trendNote = h("p.note", { hidden: true }, "Nothing yet: products appear as events arrive.");
    const list = h("ol.events", { tabIndex: 0, "aria-label": "Newest events" });
    const listNote = h("p.note", {}, "No events yet. Act as a shopper in the shop, or post events.");
    const pause = h("button.small", { type: "button", "aria-pressed": "false", onclick: () => setPaused(!paused) }, "Pause");
    const problem = h("div");
    section.querySelector(".title").append(pause);
    section.append(problem, alarms, figures, h("div.halves", {},
        h("section.sheet", { "aria-label": "Events per second" }, h("h2", {}, "Events per second"), h("p.quiet", {}, "the last minute; now is on the right"), perSecond.root,
            h("h2", {}, "Trending"), h("p.quiet", {}, "recent events, compared with the usual level (the mark)"), trend.root, trendNote),
        h("section.sheet", { "aria-label": "Newest events" }, h("h2", {}, "Newest events"), listNote, list)));

    let visible = false;
    let paused = false;
    let timer = 0;
    let newest = 0n;

    function setPaused(value) {
        paused = value;
        pause.textContent = paused ? "Resume" : "Pause";
        pause.setAttribute("aria-pressed", String(paused));
        schedule();
    }

    function showEvents(events) {
        const fresh = events.filter(({ seq }) => BigInt(seq) > newest);
        listNote.hidden = Boolean(list.children.length || fresh.length);
        if (!fresh.length) return;
        const first = newest === 0n;
        newest = BigInt(fresh[0].seq);
        const rows = fresh.map(eventRow);
        if (!first) for (const row of rows) row.classList.add("fresh");
        list.prepend(...rows);
        while (list.children.length > MAX_EVENTS) list.lastChild.remove();
    }

    function showTrend(answer) {
        const rows = (answer?.data ?? []).filter((row) => typeof row.events === "number");
        trendNote.hidden = Boolean(rows.length);
        trend.show(rows.map((row) => ({ ...productOf(row), events: row.events, usual: row.usual ?? 0 })));
    }

    async function refresh() {
        try {
            const status = await loadLive("trending", { limit: TREND_ROWS });
            problem.replaceChildren();
            figures.replaceChildren(...keyFigures(status).map(([label, text, remark]) =>
                h("div", {}, h("dt", {}, label), h("dd", {}, text, remark ? h("span.quiet", {}, remark) : null))));
            perSecond.show(status.per_second);
            alarms.replaceChildren(...(status.alarms.length ? [h("div.notice.bad", { role: "alert" }, h("ul", {}, status.alarms.map((alarm) => h("li", {}, alarm))))] : []));
            showEvents(status.newest);
            showTrend(status.answer);
        } catch (error) {
            problem.replaceChildren(problemBox(error));
        }
    }

    function schedule(after = 0) {
        clearTimeout(timer);
        if (visible && !paused && !document.hidden) timer = setTimeout(async () => { await refresh(); schedule(POLL_MS); }, after);
    }

    document.addEventListener("visibilitychange", () => schedule());
    return { enter: () => { visible = true; schedule(); }, leave: () => { visible = false; schedule(); } };
}
