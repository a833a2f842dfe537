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
