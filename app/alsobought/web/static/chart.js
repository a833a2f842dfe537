/* Small charts, each with a text alternative. */
import { count, h, short, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 90;

/** A bar per second with its number of events, the newest on the right. */
export function secondsChart() {
    const bars = [];
    const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "seconds" });
    return {
        root,
        show(counts) {
            const maximum = Math.max(4, ...counts);
            const step = WIDTH / counts.length;
            counts.forEach((value, index) => {
                bars[index] ??= root.appendChild(svg("rect", { x: index * step + step * 0.15, width: step * 0.7, rx: 1 }));
                const height = value ? Math.max(2, (value / maximum) * (HEIGHT - 2)) : 1;
                bars[index].setAttribute("y", HEIGHT - height);
                bars[index].setAttribute("height", height);
                bars[index].setAttribute("class", value ? "" : "none");
            });
            root.setAttribute("aria-label", `Events per second in the last minute: maximum ${count(Math.max(...counts))}, now ${count(counts.at(-2))}`);
        },
    };
}

/** A bar per product with its recent events, and a mark at the usual level. Rows move instead of being rebuilt, so that the eye can follow. */
export function trendingChart() {
    const root = h("ol.trend");
    const rows = new Map();
    return {
        root,
        show(products) {
            const maximum = Math.max(1, ...products.flatMap(({ events, usual }) => [events, usual]));
            const ids = products.map(({ id }) => id);
            for (const [id, row] of rows) if (!ids.includes(id)) { row.root.remove(); rows.delete(id); }
            products.forEach((product, index) => {
                if (!rows.has(product.id)) rows.set(product.id, trendRow());
                const row = rows.get(product.id);
                if (root.children[index] !== row.root) root.insertBefore(row.root, root.children[index] ?? null);
                row.show(product, maximum);
            });
        },
    };
}

function trendRow() {
    const name = h("span.name");
    const caption = h("span.quiet");
    const bar = svg("rect", { y: 0, x: 0, height: 12, rx: 2, class: "bar" });
    const usual = svg("rect", { y: -2, width: 2, height: 16, class: "usual" });
    const drawing = svg("svg", { viewBox: "0 -2 400 16", preserveAspectRatio: "none", "aria-hidden": "true" }, bar, usual);
    let before = null;
    const root = h("li", {}, h("span.what", {}, name, caption), drawing);
    return {
        root,
        show({ title, events, usual: normal }, maximum) {
            name.textContent = title;
            caption.textContent = `${count(events)} events, usually ${short(normal, "Float64")}`;
            bar.setAttribute("width", (events / maximum) * 398);
            usual.setAttribute("x", (normal / maximum) * 398);
            root.classList.toggle("rose", before !== null && events > before);
            before = events;
        },
    };
}

const DAY_WIDTH = 600;
const DAY_HEIGHT = 150;
const SCALE = 128; // the rest is for the labels of the days

const shortDay = (label) => label.slice(5).replace("-", "/");

/** The first, the last and at most five more labels below a chart, and its largest value. */
function axes(points, x, largest, form) {
    const step = Math.max(1, Math.ceil((points.length - 1) / 6));
    return [
        svg("text", { x: 0, y: 10, class: "axis" }, form(largest)),
        svg("line", { x1: 0, x2: DAY_WIDTH, y1: SCALE, y2: SCALE, class: "axis" }),
        ...points.flatMap((point, n) => (n % step ? [] : [svg("text", {
            x: x(n), y: DAY_HEIGHT - 6, class: "axis", "text-anchor": points.length === 1 ? "middle" : n === 0 ? "start" : n === points.length - 1 ? "end" : "middle",
        }, shortDay(point.label))])),
    ];
}

/** A line of a rate by day with a band from `low` to `high`. Days with `none` are left out. */
export function bandChart(title, form) {
    const root = svg("svg", { viewBox: `0 0 ${DAY_WIDTH} ${DAY_HEIGHT}`, role: "img", class: "days", "aria-label": title });
    return {
        root,
        show(all) {
            const points = all.filter(({ none }) => !none);
            const largest = Math.max(0.001, ...points.map(({ high }) => high));
            const x = (n) => (points.length < 2 ? DAY_WIDTH / 2 : 8 + (n / (points.length - 1)) * (DAY_WIDTH - 16));
            const y = (value) => SCALE - (value / largest) * (SCALE - 18);
            const path = (values) => values.map(([n, value]) => `${x(n).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
            const entries = [...points.entries()];
            const band = [...entries.map(([n, { high }]) => [n, high]), ...entries.reverse().map(([n, { low }]) => [n, low])];
            root.replaceChildren(
                svg("polygon", { points: path(band), class: "band" }),
                svg("polyline", { points: path(points.map(({ value }, n) => [n, value])), class: "line" }),
                ...points.flatMap(({ label, value, low, high }, n) => [
                    svg("line", { x1: x(n), x2: x(n), y1: y(low), y2: y(high), class: "reach" }),
                    svg("circle", { cx: x(n), cy: y(value), r: 3.5, class: "dot" },
                        svg("title", {}, `${label}: ${form(value)}, ${form(low)} to ${form(high)}`)),
                ]),
                ...axes(points, x, largest, form));
            root.setAttribute("aria-label", `${title}: ${points.map(({ label, value }) => `${label} ${form(value)}`).join(", ") || "no days"}`);
        },
    };
}

/** A bar by day. */
export function barChart(title, form) {
    const root = svg("svg", { viewBox: `0 0 ${DAY_WIDTH} ${DAY_HEIGHT}`, role: "img", class: "days", "aria-label": title });
    return {
        root,
        show(points) {
            const largest = Math.max(0.01, ...points.map(({ value }) => value));
            const step = DAY_WIDTH / Math.max(1, points.length);
            const width = Math.min(48, step * 0.7);
            const x = (n) => (n + 0.5) * step;
            root.replaceChildren(
                ...points.map(({ label, value }, n) => {
                    const height = (value / largest) * (SCALE - 18);
                    return svg("rect", { x: x(n) - width / 2, width, y: SCALE - height, height, rx: 2, class: "bar" },
                        svg("title", {}, `${label}: ${form(value)}`));
                }),
                ...axes(points, x, largest, form));
            root.setAttribute("aria-label", `${title}: ${points.map(({ label, value }) => `${label} ${form(value)}`).join(", ") || "no days"}`);
        },
    };
}
