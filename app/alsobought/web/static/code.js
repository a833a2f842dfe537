/* A code editor: a textarea over the highlighted text. Undo, selection, input methods and screen readers work as in
 * any textarea.
 *
 * Tab indents; after Escape it moves the focus.
 */
import { h, newId } from "./dom.js";
import { lineOf, numberOf, paintedLines } from "./sql.js";

const INDENT = "    ";

/** Calls `onchange(text)` after every change and `onsave()` on Ctrl+S. */
export function makeCode({ label, describedBy, onchange, onsave }) {
    const gutter = h("div.gutter", { "aria-hidden": "true" });
    const paint = h("pre.paint", { "aria-hidden": "true" });
    const area = h("textarea", { id: newId("text"), "aria-label": label, "aria-describedby": describedBy, spellcheck: false, autocomplete: "off",
        autocapitalize: "off", wrap: "off" });
    const root = h("div.code.writes.scroll", {}, gutter, h("div.sheets", {}, paint, area));
    let findings = [];
    let leaving = false;

    function draw() {
        const lines = paintedLines(area.value);
        gutter.replaceChildren(...lines.map((_, index) => numberOf(index + 1, findings)));
        paint.replaceChildren(...lines.map((line, index) => lineOf(line, index + 1, findings)));
    }

    /** Inserts as if typed, so that undo works. */
    function insert(text) {
        if (document.execCommand("insertText", false, text)) return;
        area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
        area.dispatchEvent(new Event("input"));
    }

    function startOfLine(position) {
        return area.value.lastIndexOf("\n", position - 1) + 1;
    }

    /** Indents the selected lines, or unindents them. */
    function indent(back) {
        const [from, to] = [startOfLine(area.selectionStart), area.selectionEnd];
        const block = area.value.slice(from, to);
        const indented = block.split("\n").map((line) => (back ? line.replace(/^ {1,4}/, "") : line && INDENT + line)).join("\n");
        area.setSelectionRange(from, to);
        insert(indented);
        area.setSelectionRange(indented.includes("\n") ? from : from + indented.length, from + indented.length);
    }

    area.addEventListener("input", () => { draw(); onchange(area.value); });
    area.addEventListener("keydown", (event) => {
        const { key } = event;
        if ((event.ctrlKey || event.metaKey) && key === "s") {
            event.preventDefault();
            onsave();
        } else if (key === "Escape") {
            leaving = true;
            return;
        } else if (key === "Tab" && !leaving) {
            event.preventDefault();
            if (event.shiftKey || area.value.slice(area.selectionStart, area.selectionEnd).includes("\n")) indent(event.shiftKey);
            else insert(INDENT.slice((area.selectionStart - startOfLine(area.selectionStart)) % INDENT.length));
        } else if (key === "Enter" && !event.ctrlKey && !event.metaKey) {
            const [before] = area.value.slice(startOfLine(area.selectionStart), area.selectionStart).match(/^ */);
            if (before) { event.preventDefault(); insert(`\n${before}`); }
        }
        if (key !== "Shift") leaving = false;
    });

    return {
        root,
        get text() { return area.value; },
        set text(text) { area.value = text; draw(); },
        focus: () => area.focus(),
        showFindings(current) { findings = current; draw(); },
        goTo(line) {
            const position = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
            area.focus();
            area.setSelectionRange(position, position);
            paint.children[line - 1]?.scrollIntoView({ block: "center" });
        },
    };
}
