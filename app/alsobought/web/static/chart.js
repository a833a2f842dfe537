/* Small drawings of numbers. Each says in words what it shows. */
import { count, h, short, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 90;

/** Events of each of the last seconds as bars, the newest on the right. */
export function secondsChart() {
    const bars = [];
    const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "seconds" });
    return {
        root,
        show(counts) {
            const most = Math.max(4, ...counts);
            const step = WIDTH / counts.length;
            counts.forEach((value, at) => {
                bars[at] ??= root.appendChild(svg("rect", { x: at * step + step * 0.15, width: step * 0.7, rx: 1 }));
                const height = value ? Math.max(2, (value / most) * (HEIGHT - 2)) : 1;
                bars[at].setAttribute("y", HEIGHT - height);
                bars[at].setAttribute("height", height);
                bars[at].setAttribute("class", value ? "" : "none");
            });
            root.setAttribute("aria-label", `Events a second in the last minute: at most ${count(Math.max(...counts))}, now ${count(counts.at(-2))}`);
        },
    };
}

/** Products as bars: what happened lately, and a mark where it usually is. Rows are kept and moved, so that the eye can follow. */
export function trendingChart() {
    const root = h("ol.trend");
    const rows = new Map();
    return {
        root,
        show(found) {
            const most = Math.max(1, ...found.flatMap((one) => [one.events, one.usual]));
            const ids = found.map((one) => one.id);
            for (const [id, row] of rows) if (!ids.includes(id)) { row.root.remove(); rows.delete(id); }
            found.forEach((one, at) => {
                if (!rows.has(one.id)) rows.set(one.id, trendRow());
                const row = rows.get(one.id);
                if (root.children[at] !== row.root) root.insertBefore(row.root, root.children[at] ?? null);
                row.show(one, most);
            });
        },
    };
}

function trendRow() {
    const name = h("span.name");
    const told = h("span.quiet");
    const bar = svg("rect", { y: 0, x: 0, height: 12, rx: 2, class: "bar" });
    const usual = svg("rect", { y: -2, width: 2, height: 16, class: "usual" });
    const drawing = svg("svg", { viewBox: "0 -2 400 16", preserveAspectRatio: "none", "aria-hidden": "true" }, bar, usual);
    let before = null;
    const root = h("li", {}, h("span.what", {}, name, told), drawing);
    return {
        root,
        show({ title, events, usual: normal }, most) {
            name.textContent = title;
            told.textContent = `${count(events)} events, usually ${short(normal, "Float64")}`;
            bar.setAttribute("width", (events / most) * 398);
            usual.setAttribute("x", (normal / most) * 398);
            root.classList.toggle("rose", before !== null && events > before);
            before = events;
        },
    };
}
