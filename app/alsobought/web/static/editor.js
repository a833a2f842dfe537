/* The editor of a pipe: its file, what is wrong with it as you type, what it would answer, and after a save its cases.
 *
 * A text that was not saved is kept while the page is open.
 */
import { loadPipes, loadSource, previewDraft, runCases, saveDraft, tryDraft } from "./api.js";
import { answerView } from "./answer.js";
import { makeCode } from "./code.js";
import { duration, h, newId, problemBox } from "./dom.js";
import { makeForm } from "./form.js";
import { startingPairs } from "./pipe.js";
import { note, pipeHash } from "./route.js";
import { codeBlock } from "./sql.js";

const TYPING_PAUSE_MS = 250;
const CHECKING = "Checking…";
const drafts = new Map(); // name -> {text, basedOn}

/** Asks before the page goes away with what was not saved. */
export function keepDraftsOnClose() {
    addEventListener("beforeunload", (event) => { if (drafts.size) event.preventDefault(); });
}

function findingsList(findings, goTo) {
    return findings.map((one) => h(`li.${one.severity}`, {},
        one.line ? h("button.small", { type: "button", onclick: () => goTo(one.line) }, `line ${one.line}`) : h("strong", {}, "The file"),
        h("span", {}, one.message, one.hint ? h("span.quiet", {}, ` ${one.hint}`) : null)));
}

function casesView(cases, name) {
    if (!cases.length) return [h("p.note", {}, `No cases yet: tests/pipes/${name}.yaml holds them.`)];
    const failed = cases.filter((one) => !one.ok);
    return [h("p", {}, h("strong", { className: failed.length ? "wrong" : "well" },
        failed.length ? `${failed.length} of ${cases.length} cases failed` : `All ${cases.length} cases pass`),
    h("span.quiet", {}, ` in ${duration(cases.reduce((sum, one) => sum + one.milliseconds, 0))}`)),
    h("ul.cases", {}, [...failed, ...cases.filter((one) => one.ok)].map((one) => h(`li.${one.ok ? "well" : "wrong"}`, {},
        h("span.sign", { "aria-hidden": "true" }, one.ok ? "✓" : "✗"), h("span", {}, h("span.hidden", {}, one.ok ? "passed: " : "failed: "), one.it,
            one.problem ? h("pre", {}, [one.problem, ...differing(one)].join("\n")) : null))))];
}

/** The rows of a case one below the other, with the columns that it names. */
function differing({ expected, got }) {
    if (!expected || !got) return [];
    const names = [...new Set(expected.flatMap(Object.keys))];
    const chosen = (row) => Object.fromEntries((names.length ? names : Object.keys(row)).map((name) => [name, row[name]]));
    const lines = (title, rows) => [title, ...rows.slice(0, 8).map((row) => `  ${JSON.stringify(chosen(row))}`), ...(rows.length > 8 ? ["  …"] : [])];
    return [...lines("expected", expected), ...lines("got", got)];
}

export function showEditor(root, pipe, pairs) {
    const { name } = pipe;
    let saved = null; // the text on disk as we know it, {text, hash}
    let basedOn = "";
    let turn = 0;
    let timer = 0;
    let asked = pairs;
    let shape = "";
    let form = null;
    let left = false;
    let wanted = false; // a save that waits for the check
    let saving = false;
    let runAgain = false;

    const help = h("p.quiet", { id: newId("help") }, "Checked as you type. Ctrl-S saves. Tab indents; Escape, then Tab leaves the text.");
    const code = makeCode({ label: `The file pipes/${name}.sql`, describedBy: help.id, onchange: changed, onsave: save });
    const findings = h("ul.findings");
    const said = h("p.said", { role: "status" });
    const conflict = h("div", { hidden: true });
    const saveButton = h("button.main", { type: "button", disabled: true, onclick: save }, "Save");
    const dropButton = h("button", { type: "button", hidden: true, onclick: drop }, "Discard changes");
    const formPlace = h("div");
    const preview = h("section.answer", { "aria-label": "Preview" }, h("p.note", {}, "…"));
    const cases = h("div.results", { role: "status" }, h("p.note", {}, "They run after a save."));
    const casesButton = h("button.small", { type: "button", onclick: runThem }, "Run now");
    const back = h("a.back", { href: pipeHash(name, pairs) }, `← ${name}`);
    root.replaceChildren(h("div.head", {}, back, h("h2", { tabIndex: -1 }, `pipes/${name}.sql`), dropButton, saveButton), said, conflict,
        h("div.halves.editor", {}, h("div.writing", {}, code.root, findings, help),
            h("div.trying", {}, h("h3", {}, "Preview"), h("p.quiet", {}, "This text, asked of the shop as it is. Nothing is saved for it."), formPlace, preview,
                h("div.head", {}, h("h3", {}, "Cases"), casesButton), cases)));

    const dirty = () => saved !== null && code.text !== saved.text;

    function say(text, kind = "") {
        said.textContent = text;
        said.className = `said ${kind}`;
    }

    function changed() {
        if (dirty()) drafts.set(name, { text: code.text, basedOn });
        else drafts.delete(name);
        dropButton.hidden = !dirty();
        saveButton.disabled = true;
        wanted = false;
        if (said.textContent !== CHECKING) say(CHECKING);
        clearTimeout(timer);
        timer = setTimeout(check, TYPING_PAUSE_MS);
    }

    async function check() {
        const mine = ++turn;
        try {
            const { findings: found, made } = await tryDraft(name, code.text);
            if (mine !== turn || left) return;
            code.show(found);
            findings.replaceChildren(...findingsList(found, code.goTo));
            const errors = found.filter((one) => one.severity === "error").length;
            saveButton.disabled = !dirty() || errors > 0;
            say(errors ? `${errors === 1 ? "One fault" : `${errors} faults`}: the saved text goes on answering.`
                : dirty() ? "No faults. Not saved yet." : "Saved. This text answers.", errors ? "wrong" : dirty() ? "" : "well");
            if (wanted) save();
            if (made) await ask(made, mine);
            else preview.classList.add("old");
        } catch (problem) {
            if (mine === turn && !left) say([problem.message, problem.hint].filter(Boolean).join(" "), "wrong");
        }
    }

    /** The form follows the signature of the text; what was filled in stays. */
    async function ask(made, mine) {
        const signature = JSON.stringify(made.parameters);
        if (signature !== shape) {
            shape = signature;
            const known = form ? form.pairs() : asked.length ? asked : await startingPairs(made);
            form = makeForm({ name, parameters: made.parameters }, known.filter(([one]) => made.parameters.some((two) => two.name === one)), check);
            formPlace.replaceChildren(form.root);
        }
        asked = form.pairs();
        back.href = pipeHash(name, asked);
        note(pipeHash(name, asked, true), { silently: true });
        try {
            const got = await previewDraft(name, code.text, asked);
            if (mine !== turn || left) return;
            form.complain([]);
            preview.replaceChildren(...answerView(got));
        } catch (problem) {
            if (mine !== turn || left) return;
            preview.replaceChildren(problemBox(Object.assign(problem, { details: form.complain(problem.details ?? []) })));
        }
        preview.classList.remove("old");
    }

    function take(source) {
        saved = source;
        basedOn = source.hash;
        conflict.hidden = true;
        changed();
    }

    function drop() {
        code.text = saved.text;
        take(saved);
        code.focus();
    }

    async function save() {
        if (saving) return;
        if (saveButton.disabled) { // not checked yet, or faulty: only the first can still be saved
            wanted = dirty() && !wanted;
            clearTimeout(timer);
            if (wanted) check();
            return;
        }
        const { text } = code;
        wanted = false;
        saving = true;
        saveButton.disabled = true;
        say("Saving…");
        try {
            const { hash } = await saveDraft(name, text, basedOn);
            take({ text, hash });
            loadPipes().catch(() => {});
            runThem();
        } catch (problem) {
            say([problem.message, problem.hint].filter(Boolean).join(". "), "wrong");
            const now = problem.code === "not_saved" ? await loadSource(name).catch(() => null) : null;
            if (now && now.hash !== basedOn) differs(now);
            saveButton.disabled = false;
        } finally {
            saving = false;
        }
    }

    /** Somebody else saved meanwhile: theirs is shown, and nothing is lost until one is chosen. */
    function differs(theirs) {
        conflict.hidden = false;
        conflict.replaceChildren(h("div.notice", {},
            h("p", {}, h("strong", {}, "The file was changed meanwhile. "), "Below is what it holds now. Yours is in the editor."),
            codeBlock(theirs.text, { label: "The file as it is now" }),
            h("div.choice", {},
                h("button", { type: "button", onclick: () => { code.text = theirs.text; take(theirs); code.focus(); } }, "Take theirs"),
                h("button", { type: "button", onclick: () => { saved = theirs; basedOn = theirs.hash; conflict.hidden = true; changed(); code.focus(); } }, "Go on with mine"))));
        conflict.querySelector("button").focus();
    }

    async function runThem() {
        runAgain = casesButton.disabled; // they run, of a text that is not the newest any more
        if (runAgain) return;
        casesButton.disabled = true;
        cases.replaceChildren(h("p.note", {}, "Running the cases…"));
        let results;
        do {
            runAgain = false;
            results = await runCases(name).then((got) => casesView(got.cases, name), (problem) => [problemBox(problem)]);
        } while (runAgain && !left);
        if (left) return;
        cases.replaceChildren(...results);
        casesButton.disabled = false;
    }

    async function open() {
        try {
            const source = await loadSource(name);
            if (left) return;
            saved = source;
            const draft = drafts.get(name);
            basedOn = draft?.basedOn ?? source.hash;
            code.text = draft?.text ?? source.text;
            dropButton.hidden = !dirty();
            check();
        } catch (problem) {
            root.append(problemBox(problem));
        }
    }
    open();
    return { leave: () => { left = true; turn += 1; clearTimeout(timer); } };
}
