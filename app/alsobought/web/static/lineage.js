/* Column lineage: tables on the left, the pipe on the right, a line from each source column to the column it feeds. */
import { h, svg } from "./dom.js";

const ROW = 19;
const HEAD = 26;
const GAP = 12;
const CHARACTER = 6.7; // width of a character, in units of the drawing
const PAD = 10;
const MIDDLE = 70;

const widthOf = (texts) => Math.max(90, ...texts.map((text) => text.length * CHARACTER)) + 2 * PAD;

function box(x, y, width, name, rows, kind) {
    const height = HEAD + rows.length * ROW + (rows.length ? 6 : 0);
    return { x, y, width, height, mid: (row) => y + HEAD + rows.indexOf(row) * ROW + ROW / 2,
        element: svg("g", { class: kind }, svg("rect", { x, y, width, height, rx: 8 }),
            svg("text", { x: x + PAD, y: y + 18, class: "name" }, name),
            rows.map((row, index) => svg("text", { x: x + PAD, y: y + HEAD + index * ROW + 14 }, row))) };
}

function curve(x1, y1, x2, y2, title, kind = "") {
    const half = (x1 + x2) / 2;
    return svg("path", { d: `M${x1} ${y1} C${half} ${y1} ${half} ${y2} ${x2} ${y2}`, class: kind }, svg("title", {}, title));
}

/** The text alternative of the drawing. */
function asText(tables, columns) {
    const returned = columns.map(({ name, from }) => h("li", {}, h("code", {}, name), from.length ? ` from ${from.join(", ")}` : " from no column"));
    const read = Object.entries(tables).map(([table, names]) => h("li", {}, h("code", {}, table), names.length ? `: ${names.join(", ")}` : ""));
    return h("details", {}, h("summary", {}, "As text"), h("h4", {}, "Reads"), h("ul", {}, read), h("h4", {}, "Returns"), h("ul", {}, returned));
}

export function lineageView(pipe, { tables: names, columns: returned, lineage }) {
    const tables = lineage?.tables ?? Object.fromEntries(names.map((name) => [name, []]));
    const columns = returned.map(({ name }) => ({ name, from: lineage?.columns?.[name] ?? [] }));
    const left = widthOf([...Object.keys(tables), ...Object.values(tables).flat()]);
    const right = widthOf([pipe, ...columns.map(({ name }) => name)]);
    const parts = new Map();
    let y = 1;
    for (const [table, read] of Object.entries(tables)) {
        const part = box(1, y, left, table, read, "table");
        parts.set(table, part);
        y += part.height + GAP;
    }
    const x = left + MIDDLE;
    const pipeHeight = box(x, 1, right, pipe, columns.map(({ name }) => name), "pipe").height;
    const height = Math.max(y - GAP, pipeHeight) + 2;
    const shift = Math.max(0, (height - pipeHeight) / 2 - 1);
    const target = box(x, 1 + shift, right, pipe, columns.map(({ name }) => name), "pipe");
    const lines = columns.flatMap(({ name, from }) => from.map((source) => {
        const [table, column] = [source.slice(0, source.indexOf(".")), source.slice(source.indexOf(".") + 1)];
        const part = parts.get(table);
        return part && tables[table].includes(column)
            ? curve(1 + left, part.mid(column), x, target.mid(name), `${source} feeds ${name}`) : null;
    }));
    const feeding = new Set(columns.flatMap(({ from }) => from.map((source) => source.split(".")[0])));
    const others = [...parts].filter(([table]) => !feeding.has(table)).map(([table, part]) =>
        curve(1 + left, part.y + HEAD / 2, x, target.y + HEAD / 2, `${pipe} reads ${table}`, "read"));
    const width = x + right + 1;
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", class: "lineage",
        "aria-label": `${pipe} reads ${Object.keys(tables).join(", ")}` }, lines, others, [...parts.values()].map((part) => part.element), target.element);
    return [h("div.scroll.drawing", { tabIndex: 0, role: "region", "aria-label": "Lineage" }, drawing), asText(tables, columns)];
}
