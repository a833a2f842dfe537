/* Syntax highlighting of a pipe: SQL, Jinja, and the parameters and tags of the header. A lexer only, no parser. */
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

/** The text as [kind, text] tokens; kind is empty for plain text. */
export function tokens(text) {
    const list = [];
    let position = 0;
    for (const match of text.matchAll(LEXEME)) {
        if (match.index > position) list.push(["", text.slice(position, match.index)]);
        position = match.index + match[0].length;
        const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
        if (kind === "word") {
            const next = text[position];
            list.push([next === "(" && !KEYWORDS.has(match[0].toLowerCase()) ? "function"
                : KEYWORDS.has(match[0].toLowerCase()) ? "keyword" : "", match[0]]);
        } else if (kind === "comment" && /^-- *[:@]\w/.test(match[0])) {
            const [, dashes, name, rest] = match[0].match(/^(-- *)([:@]\w+)([^]*)$/);
            list.push(["comment", dashes], ["signature", name], ["comment", rest]);
        } else {
            list.push([kind, match[0]]);
        }
    }
    if (position < text.length) list.push(["", text.slice(position)]);
    return list;
}

/** The text as lines of elements; a token over several lines is split. */
export function paintedLines(text) {
    const lines = [[]];
    for (const [kind, token] of tokens(text)) {
        token.split("\n").forEach((part, index) => {
            if (index) lines.push([]);
            if (part) lines.at(-1).push(kind ? h(`span.${kind}`, {}, part) : part);
        });
    }
    return lines;
}

/** A read-only text with line numbers, and findings at their lines. */
export function codeBlock(text, { label, findings = [] } = {}) {
    const lines = paintedLines(text);
    return h("div.code.scroll", { tabIndex: 0, role: "region", "aria-label": label },
        h("div.gutter", { "aria-hidden": "true" }, lines.map((_, index) => numberOf(index + 1, findings))),
        h("pre.paint", {}, lines.map((line, index) => lineOf(line, index + 1, findings))));
}

const findingsAt = (findings, number) => findings.filter(({ line }) => line === number);

export function numberOf(number, findings) {
    const [worst] = findingsAt(findings, number).map(({ severity }) => severity).sort();
    return h(`span${worst ? `.${worst}` : ""}`, {}, String(number));
}

export function lineOf(line, number, findings) {
    const current = findingsAt(findings, number);
    const [worst] = current.map(({ severity }) => severity).sort();
    return h(`span.line${worst ? `.${worst}` : ""}`, {}, line,
        current.length ? h("span.inline-finding", {}, current.map(({ message }) => message).join("; ")) : null, "\n");
}
