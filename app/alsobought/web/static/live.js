/* What arrives: the newest events, how many a second, what waits, and what is trending. Asked each second while it is looked at. */
import { loadLive } from "./api.js";
import { secondsChart, trendingChart } from "./chart.js";
import { count, h, moment, problemBox } from "./dom.js";
import { productOf } from "./products.js";

const EVERY_MS = 1000;
const TREND_ROWS = 8;
const KEPT = 60; // events in the list

const seconds = (number) => (number < 0 ? "–" : number < 10 ? `${number.toFixed(number < 1 ? 2 : 1)} s`
    : number < 120 ? `${Math.round(number)} s` : number < 7200 ? `${Math.round(number / 60)} min` : `${Math.round(number / 3600)} h`);

/** The middle one: one late event does not move it. */
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** How things stand, as [label, text, sentence] triples. */
function figures({ now, as_of: asOf, total, per_second: counts, waiting, kafka, newest }) {
    const whole = counts.slice(0, -1); // the present second is not over
    const lately = whole.slice(-10).reduce((sum, one) => sum + one, 0) / 10;
    const told = [
        ["events a second", lately < 10 ? lately.toFixed(1) : count(lately), "in the last ten seconds"],
        ["in the last minute", count(counts.reduce((sum, one) => sum + one, 0)), ""],
        ["events in all", count(total), ""],
        ["newest event", asOf ? `${seconds((Date.parse(now) - Date.parse(asOf)) / 1000)} ago` : "none yet", "since it was stored"],
        ["from happening to stored", newest.length ? seconds(median(newest.map((one) => one.delay))) : "–", "middle of those listed"],
        ["wait for the writer", count(waiting), "events and items"],
    ];
    if (kafka) {
        told.push(["wait in Kafka", kafka.lag === null ? "?" : count(kafka.lag), kafka.problem || "messages, looked at every 15 s"],
            ["dead letters", count(kafka.dead_letters), kafka.dead_letters ? "alsobought dead-letters ls" : ""]);
    }
    return told;
}

function eventRow(one) {
    return h("li", { id: `event-${one.seq}` }, h("time", {}, moment(one.at)), h(`span.kind.${one.event_type}`, {}, one.event_type.replaceAll("_", " ")),
        h("span.name", {}, one.title || one.item_id), h("span.quiet", {}, one.user_id));
}

export function makeLive(section, workbench) {
    if (!workbench.open) {
        section.append(h("p.notice", {}, "Arriving events tell who does what. They are shown to browsers on the service's own machine; ",
            h("code", {}, "ALSOBOUGHT_WORKBENCH=open"), " shows them to everybody."));
        return { enter: () => {}, leave: () => {} };
    }
    const told = h("dl.figures");
    const alarms = h("div");
    const perSecond = secondsChart();
    const trend = trendingChart();
    const trendNote = h("p.note", { hidden: true }, "Nothing yet: products appear as events arrive.");
    const list = h("ol.events", { tabIndex: 0, "aria-label": "Newest events" });
    const listNote = h("p.note", {}, "No events yet. Act as a shopper in the shop, or post some.");
    const pause = h("button.small", { type: "button", "aria-pressed": "false", onclick: () => turn(!paused) }, "Pause");
    const problem = h("div");
    section.querySelector(".title").append(pause);
    section.append(problem, alarms, told, h("div.halves", {},
        h("section.sheet", { "aria-label": "Events a second" }, h("h2", {}, "Events a second"), h("p.quiet", {}, "the last minute, now on the right"), perSecond.root,
            h("h2", {}, "Trending"), h("p.quiet", {}, "the last hours against what is usual (the mark)"), trend.root, trendNote),
        h("section.sheet", { "aria-label": "Newest events" }, h("h2", {}, "Newest events"), listNote, list)));

    let watching = false;
    let paused = false;
    let timer = 0;
    let newest = 0n;

    function turn(off) {
        paused = off;
        pause.textContent = paused ? "Go on" : "Pause";
        pause.setAttribute("aria-pressed", String(paused));
        soon();
    }

    function showEvents(found) {
        const fresh = found.filter((one) => BigInt(one.seq) > newest);
        listNote.hidden = Boolean(list.children.length || fresh.length);
        if (!fresh.length) return;
        const first = newest === 0n;
        newest = BigInt(fresh[0].seq);
        const rows = fresh.map(eventRow);
        if (!first) for (const row of rows) row.classList.add("fresh");
        list.prepend(...rows);
        while (list.children.length > KEPT) list.lastChild.remove();
    }

    function showTrend(answer) {
        const known = (answer?.data ?? []).filter((row) => typeof row.events === "number");
        trendNote.hidden = Boolean(known.length);
        trend.show(known.map((row) => ({ ...productOf(row), events: row.events, usual: row.usual ?? 0 })));
    }

    async function look() {
        try {
            const found = await loadLive("trending", { limit: TREND_ROWS });
            problem.replaceChildren();
            told.replaceChildren(...figures(found).map(([label, text, sentence]) =>
                h("div", {}, h("dt", {}, label), h("dd", {}, text, sentence ? h("span.quiet", {}, sentence) : null))));
            perSecond.show(found.per_second);
            alarms.replaceChildren(...(found.alarms.length ? [h("div.notice.bad", { role: "alert" }, h("ul", {}, found.alarms.map((one) => h("li", {}, one))))] : []));
            showEvents(found.newest);
            showTrend(found.answer);
        } catch (wrong) {
            problem.replaceChildren(problemBox(wrong));
        }
    }

    function soon(after = 0) {
        clearTimeout(timer);
        if (watching && !paused && !document.hidden) timer = setTimeout(async () => { await look(); soon(EVERY_MS); }, after);
    }

    document.addEventListener("visibilitychange", () => soon());
    return { enter: () => { watching = true; soon(); }, leave: () => { watching = false; soon(); } };
}
