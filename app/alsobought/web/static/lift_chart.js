/* The lift of a variant over the days, with the band that holds on all days together. Drawn for the width that there is. */
import { h, svg } from "./dom.js";

const HEIGHT = 230;
const MARGIN = { top: 12, right: 12, bottom: 26, left: 60 };

export const percent = (share) => {
    const size = Math.abs(share * 100);
    const text = (share * 100).toFixed(size >= 10 || !size ? 0 : 1);
    return `${share > 0 ? "+" : ""}${text.replace(/\.0$/, "")} %`;
};

/** "2026-12-03" -> "3 Dec" */
const dayOf = (day) => new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

/** The first days are wide: they would flatten all others, and are cut off. */
function rangeOf(points) {
    const later = points.slice(Math.floor(points.length / 2));
    const bound = 1.5 * Math.max(...later.flatMap(({ lift, low, high }) => [lift, low, high].map(Math.abs)));
    return [Math.max(-bound, Math.min(0, ...points.map((point) => point.low))), Math.min(bound, Math.max(0, ...points.map((point) => point.high)))];
}

/** Round steps of an axis: 1, 2 or 5 times a power of ten. */
function stepsOf(from, to) {
    const rough = (to - from) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
    const steps = [];
    for (let value = Math.ceil(from / step) * step; value <= to; value += step) steps.push(Math.abs(value) < step / 2 ? 0 : value);
    return steps;
}

function draw(root, points, width, text) {
    const [lowest, highest] = rangeOf(points);
    const right = Math.max(width - MARGIN.right, MARGIN.left + 1);
    const x = (index) => MARGIN.left + (points.length > 1 ? index / (points.length - 1) : 0.5) * (right - MARGIN.left);
    const y = (value) => MARGIN.top + ((highest - Math.min(highest, Math.max(lowest, value))) / (highest - lowest)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    const line = (name) => points.map((point, index) => `${x(index).toFixed(1)},${y(point[name]).toFixed(1)}`);
    const labels = [...new Set([0, Math.floor((points.length - 1) / 2), points.length - 1])];
    root.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    root.replaceChildren(
        ...stepsOf(lowest, highest).flatMap((value) => [
            svg("line", { x1: MARGIN.left, x2: right, y1: y(value), y2: y(value), class: value ? "grid" : "zero" }),
            svg("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, text(value)),
        ]),
        svg("polygon", { points: [...line("high"), ...line("low").reverse()].join(" "), class: "band" }),
        svg("polyline", { points: line("lift").join(" "), class: "line" }),
        svg("circle", { cx: x(points.length - 1), cy: y(points.at(-1).lift), r: 4, class: "end" }),
        ...labels.map((index) => svg("text", { x: x(index), y: HEIGHT - 6,
            "text-anchor": labels.length === 1 ? "middle" : index === 0 ? "start" : index === points.length - 1 ? "end" : "middle" }, dayOf(points[index].day))),
    );
}

/** A figure of points {day, lift, low, high}; `caption` says what is compared, `text` writes a value. */
export function liftChart(points, caption, text = percent) {
    const newest = points.at(-1);
    const label = `${caption}: ${text(newest.lift)} on ${dayOf(newest.day)}, between ${text(newest.low)} and ${text(newest.high)}`;
    const root = svg("svg", { role: "img", class: "lift", "aria-label": label, height: HEIGHT });
    const figure = h("figure.lift", {}, root, h("figcaption.quiet", {}, `${caption}. The band holds on all days together.`));
    let drawn = 0;
    new ResizeObserver(([{ contentRect }]) => {
        const width = Math.round(contentRect.width);
        if (!width || width === drawn) return; // hidden, or drawn for this width
        drawn = width;
        draw(root, points, width, text);
    }).observe(figure);
    return figure;
}
