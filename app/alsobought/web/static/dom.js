/* DOM elements and number formats. Data reaches the page only as text nodes and properties, never as HTML. */

/** h("button.quiet", {type: "button", onclick: f}, "Run") creates that button; null children are left out. */
export function h(tagAndClasses, properties = {}, ...children) {
    const [tag, ...classes] = tagAndClasses.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    for (const [key, value] of Object.entries(properties)) {
        if (value === null || value === undefined) continue;
        if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
        else if (key in element && !key.includes("-")) element[key] = value;
        else element.setAttribute(key, value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
}

/** Like `h` for SVG elements; all properties are attributes. */
export function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
}

/** Text for screen readers only. */
export const screenReaderText = (text) => h("span.hidden", {}, text);

let last = 0;
export const newId = (prefix) => `${prefix}-${++last}`;

/** ["no such pipe", "Did you mean …?"] -> "No such pipe. Did you mean …?" */
export const sentences = (...parts) => parts.filter(Boolean)
    .map((part) => part[0].toUpperCase() + part.slice(1) + (/[.!?…]$/.test(part) ? "" : ".")).join(" ");

/** A text with `commands` in it -> text and code. */
export const withCode = (text) => text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));

/** An error box: message, details, hint, and the request id to quote. */
export function problemBox(problem, ...more) {
    const details = (problem.details ?? []).map(({ param, problem: text }) =>
        h("li", {}, h("code", {}, param), ` ${text}`));
    return h("div.notice.bad", { role: "alert" },
        h("p", {}, h("strong", {}, sentences(problem.message))),
        details.length ? h("ul", {}, details) : null,
        problem.hint ? h("p", {}, withCode(sentences(problem.hint))) : null,
        problem.requestId ? h("p.quiet", {}, "Request ", h("code", {}, problem.requestId)) : null,
        ...more);
}

const significant = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const integer = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const isNumberType = (type = "") => /^((Nullable|LowCardinality)\()*(U?Int|Float|Decimal)/.test(type);
const isTimeType = (type = "") => /^((Nullable|LowCardinality)\()*DateTime/.test(type);

/** 1234.5 -> "1,235" */
export const count = (n) => integer.format(n ?? 0);

/** 1536 -> "1.5 KB" */
export function bytes(n) {
    const steps = ["B", "KB", "MB", "GB"];
    const step = Math.min(steps.length - 1, Math.floor(Math.log(Math.max(n, 1)) / Math.log(1000)));
    return `${significant.format(Number((n / 1000 ** step).toFixed(1)))} ${steps[step]}`;
}

/** 4.12 -> "4.1 ms" */
export function duration(ms) {
    if (ms < 10) return `${ms.toFixed(1)} ms`;
    return ms < 10000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** The time of day, with the date unless it is today. ClickHouse writes UTC without a zone. */
export function moment(value) {
    const text = String(value).replace(" ", "T");
    const time = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
    if (Number.isNaN(time.getTime())) return String(value);
    const clock = time.toLocaleTimeString("en-GB");
    return time.toDateString() === new Date().toDateString() ? clock : `${time.toLocaleDateString("en-CA")} ${clock}`;
}

/** A value as short text, formatted by the ClickHouse type of its column. */
export function short(value, type) {
    if (value === null || value === undefined) return "–";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (isTimeType(type)) return moment(value);
    if (isNumberType(type)) return significant.format(value);
    if (Array.isArray(value)) return value.map((element) => short(element)).join(", ");
    return typeof value === "object" ? JSON.stringify(value) : String(value);
}
