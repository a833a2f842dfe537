/* The colours of a pipe's text: SQL, the template in it, and the header that is its signature. Nothing here understands SQL. */
import { h } from "./dom.js";

const LEXEME = new RegExp([
    "(?<comment>--[^\\n]*|/\\*[^]*?(?:\\*/|$)|\\{#[^]*?(?:#\\}|$))",
    "(?<template>\\{\\{[^]*?(?:\\}\\}|$)|\\{%[^]*?(?:%\\}|$)|\\{[a-z]\\w*:[^{}\\n]+\\})",
    "(?<string>'(?:[^'\\\\]|\\\\.|'')*'?)",
    "(?<number>\\b\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?\\b)",
    "(?<word>[A-Za-z_]\\w*)",
].join("|"), "gi");

const KEYWORDS = new Set(`with as select from where prewhere group by order having limit offset join inner left right full cross any all
 on using union distinct and or not in is null like ilike between case when then else end asc desc over partition rows range preceding
 following current unbounded array final sample interval global exists true false if`.split(/\s+/));

/** The text as [kind, text] pieces; kind is empty for what has no colour. */
export function pieces(text) {
    const found = [];
    let place = 0;
    for (const match of text.matchAll(LEXEME)) {
        if (match.index > place) found.push(["", text.slice(place, match.index)]);
        place = match.index + match[0].length;
        const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
        if (kind === "word") {
            const next = text[place];
            found.push([next === "(" && !KEYWORDS.has(match[0].toLowerCase()) ? "function"
                : KEYWORDS.has(match[0].toLowerCase()) ? "keyword" : "", match[0]]);
        } else if (kind === "comment" && /^-- *[:@]\w/.test(match[0])) {
            const [, dashes, name, rest] = match[0].match(/^(-- *)([:@]\w+)([^]*)$/);
            found.push(["comment", dashes], ["signature", name], ["comment", rest]);
        } else {
            found.push([kind, match[0]]);
        }
    }
    if (place < text.length) found.push(["", text.slice(place)]);
    return found;
}

/** The text as lines of elements; a piece that goes over several lines is cut at each. */
export function paintedLines(text) {
    const lines = [[]];
    for (const [kind, piece] of pieces(text)) {
        piece.split("\n").forEach((part, nth) => {
            if (nth) lines.push([]);
            if (part) lines.at(-1).push(kind ? h(`span.${kind}`, {}, part) : part);
        });
    }
    return lines;
}

/** A text to read, with numbers and findings at their lines. */
export function codeBlock(text, { label, findings = [] } = {}) {
    const lines = paintedLines(text);
    return h("div.code.scroll", { tabIndex: 0, role: "region", "aria-label": label },
        h("div.gutter", { "aria-hidden": "true" }, lines.map((_, at) => numberOf(at + 1, findings))),
        h("pre.paint", {}, lines.map((line, at) => lineOf(line, at + 1, findings))));
}

const at = (findings, number) => findings.filter((one) => one.line === number);

export function numberOf(number, findings) {
    const [worst] = at(findings, number).map((one) => one.severity).sort();
    return h(`span${worst ? `.${worst}` : ""}`, {}, String(number));
}

export function lineOf(line, number, findings) {
    const told = at(findings, number);
    const [worst] = told.map((one) => one.severity).sort();
    return h(`span.line${worst ? `.${worst}` : ""}`, {}, line,
        told.length ? h("span.told-here", {}, told.map((one) => one.message).join("; ")) : null, "\n");
}
