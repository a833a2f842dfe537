/* Where the columns of an answer come from: tables on the left, the pipe on the right, a line for each column that feeds one. */
import { h, svg } from "./dom.js";

const ROW = 19;
const HEAD = 26;
const GAP = 12;
const LETTER = 6.7; // width of a letter of the drawing's font, in units of the drawing
const PAD = 10;
const MIDDLE = 70;

const widthOf = (texts) => Math.max(90, ...texts.map((text) => text.length * LETTER)) + 2 * PAD;

function box(x, y, width, name, rows, kind) {
    const height = HEAD + rows.length * ROW + (rows.length ? 6 : 0);
    return { x, y, width, height, mid: (row) => y + HEAD + rows.indexOf(row) * ROW + ROW / 2,
        drawn: svg("g", { class: kind }, svg("rect", { x, y, width, height, rx: 8 }),
            svg("text", { x: x + PAD, y: y + 18, class: "name" }, name),
            rows.map((row, at) => svg("text", { x: x + PAD, y: y + HEAD + at * ROW + 14 }, row))) };
}

function curve(x1, y1, x2, y2, what, kind = "") {
    const half = (x1 + x2) / 2;
    return svg("path", { d: `M${x1} ${y1} C${half} ${y1} ${half} ${y2} ${x2} ${y2}`, class: kind }, svg("title", {}, what));
}

/** The same in words, for who does not see the drawing. */
function inWords(tables, columns) {
    const told = columns.map(({ name, from }) => h("li", {}, h("code", {}, name), from.length ? ` from ${from.join(", ")}` : " from no column"));
    const read = Object.entries(tables).map(([table, its]) => h("li", {}, h("code", {}, table), its.length ? `: ${its.join(", ")}` : ""));
    return h("details", {}, h("summary", {}, "In words"), h("h4", {}, "Reads"), h("ul", {}, read), h("h4", {}, "Answers"), h("ul", {}, told));
}

export function lineageView(pipe, { tables: names, columns: answered, lineage }) {
    const tables = lineage?.tables ?? Object.fromEntries(names.map((name) => [name, []]));
    const columns = answered.map(({ name }) => ({ name, from: lineage?.columns?.[name] ?? [] }));
    const left = widthOf([...Object.keys(tables), ...Object.values(tables).flat()]);
    const right = widthOf([pipe, ...columns.map((one) => one.name)]);
    const parts = new Map();
    let y = 1;
    for (const [table, its] of Object.entries(tables)) {
        const part = box(1, y, left, table, its, "table");
        parts.set(table, part);
        y += part.height + GAP;
    }
    const x = left + MIDDLE;
    const whole = box(x, 1, right, pipe, columns.map((one) => one.name), "pipe");
    const height = Math.max(y - GAP, whole.height) + 2;
    const shift = Math.max(0, (height - whole.height) / 2 - 1);
    const target = box(x, 1 + shift, right, pipe, columns.map((one) => one.name), "pipe");
    const lines = columns.flatMap(({ name, from }) => from.map((source) => {
        const [table, column] = [source.slice(0, source.indexOf(".")), source.slice(source.indexOf(".") + 1)];
        const part = parts.get(table);
        return part && tables[table].includes(column)
            ? curve(1 + left, part.mid(column), x, target.mid(name), `${source} feeds ${name}`) : null;
    }));
    const feeding = new Set(columns.flatMap((one) => one.from.map((source) => source.split(".")[0])));
    const others = [...parts].filter(([table]) => !feeding.has(table)).map(([table, part]) =>
        curve(1 + left, part.y + HEAD / 2, x, target.y + HEAD / 2, `${pipe} reads ${table}`, "read"));
    const width = x + right + 1;
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", class: "lineage",
        "aria-label": `${pipe} reads ${Object.keys(tables).join(", ")}` }, lines, others, [...parts.values()].map((part) => part.drawn), target.drawn);
    return [h("div.scroll.drawing", { tabIndex: 0, role: "region", "aria-label": "Lineage" }, drawing), inWords(tables, columns)];
}
