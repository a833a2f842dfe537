/* The editor of a pipe: its file with findings as you type, a preview of the answer, and the cases after a save.
 *
 * Unsaved text survives navigation while the page is open.
 */
import { checkDraft, loadPipes, loadSource, previewDraft, runCases, saveDraft } from "./api.js";
import { answerView } from "./answer.js";
import { makeCode } from "./code.js";
import { duration, h, newId, problemBox, sentences } from "./dom.js";
import { makeForm } from "./form.js";
import { startingPairs } from "./pipe.js";
import { pipeHash, setHash } from "./route.js";
import { codeBlock } from "./sql.js";

const TYPING_PAUSE_MS = 250;
const CHECKING = "Checking…";
const drafts = new Map(); // name -> {text, basedOn}

/** The browser asks before it closes a page with unsaved text. */
export function warnAboutDraftsOnClose() {
    addEventListener("beforeunload", (event) => { if (drafts.size) event.preventDefault(); });
}

function findingsList(findings, goTo) {
    return findings.map(({ severity, line, message, hint }) => h(`li.${severity}`, {},
        line ? h("button.small", { type: "button", onclick: () => goTo(line) }, `line ${line}`) : h("strong", {}, "The file"),
        h("span", {}, message, hint ? h("span.quiet", {}, ` ${hint}`) : null)));
}

function casesView(cases, name) {
    if (!cases.length) return [h("p.note", {}, `No cases yet. Add them in tests/pipes/${name}.yaml.`)];
    const failed = cases.filter(({ ok }) => !ok);
    const summary = failed.length ? `${failed.length} of ${cases.length} cases failed` : `All ${cases.length} cases passed`;
    const time = cases.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    return [h("p", {}, h("strong", { className: failed.length ? "wrong" : "well" }, summary), h("span.quiet", {}, ` in ${duration(time)}`)),
        h("ul.cases", {}, [...failed, ...cases.filter(({ ok }) => ok)].map(caseRow))];
}

function caseRow(result) {
    return h(`li.${result.ok ? "well" : "wrong"}`, {},
        h("span.sign", { "aria-hidden": "true" }, result.ok ? "✓" : "✗"),
        h("span", {}, h("span.hidden", {}, result.ok ? "passed: " : "failed: "), result.it,
            result.problem ? h("pre", {}, [result.problem, ...rowsOfCase(result)].join("\n")) : null));
}

/** The expected and the actual rows of a case, with the columns that the case names. */
function rowsOfCase({ expected, got }) {
    if (!expected || !got) return [];
    const names = [...new Set(expected.flatMap(Object.keys))];
    const selected = (row) => Object.fromEntries((names.length ? names : Object.keys(row)).map((name) => [name, row[name]]));
    const lines = (title, rows) => [title, ...rows.slice(0, 8).map((row) => `  ${JSON.stringify(selected(row))}`), ...(rows.length > 8 ? ["  …"] : [])];
    return [...lines("expected", expected), ...lines("actual", got)];
}

export function showEditor(root, pipe, pairs) {
    const { name } = pipe;
    let saved = null; // the last known text on disk, {text, hash}
    let basedOn = "";
    let turn = 0; // of the latest check; replies to earlier ones are ignored
    let timer = 0;
    let values = pairs;
    let signature = "";
    let form = null;
    let left = false;
    let saveRequested = false; // a save that waits for the check
    let saving = false;
    let runAgain = false;

    const help = h("p.quiet", { id: newId("help") }, "Checked as you type. Ctrl+S saves. Tab indents; press Escape, then Tab, to leave the text.");
    const code = makeCode({ label: `The file pipes/${name}.sql`, describedBy: help.id, onchange: changed, onsave: save });
    const findings = h("ul.findings");
    const message = h("p.message", { role: "status" });
    const conflict = h("div", { hidden: true });
    const saveButton = h("button.main", { type: "button", disabled: true, onclick: save }, "Save");
    const discardButton = h("button", { type: "button", hidden: true, onclick: discard }, "Discard changes");
    const formBox = h("div");
    const preview = h("section.answer", { "aria-label": "Preview" }, h("p.note", {}, "…"));
    const cases = h("div.results", { role: "status" }, h("p.note", {}, "Cases run after each save."));
    const casesButton = h("button.small", { type: "button", onclick: runAllCases }, "Run now");
    const back = h("a.back", { href: pipeHash(name, pairs) }, `← ${name}`);
    root.replaceChildren(h("div.head", {}, back, h("h2", { tabIndex: -1 }, `pipes/${name}.sql`), discardButton, saveButton), message, conflict,
        h("div.halves.editor", {}, h("div.writing", {}, code.root, findings, help),
            h("div.trying", {}, h("h3", {}, "Preview"), h("p.quiet", {}, "The answer of this text from the current data. Nothing is saved."), formBox, preview,
                h("div.head", {}, h("h3", {}, "Cases"), casesButton), cases)));

    const dirty = () => saved !== null && code.text !== saved.text;

    function showMessage(text, kind = "") {
        message.textContent = text;
        message.className = `message ${kind}`;
    }

    function changed() {
        if (dirty()) drafts.set(name, { text: code.text, basedOn });
        else drafts.delete(name);
        discardButton.hidden = !dirty();
        saveButton.disabled = true;
        saveRequested = false;
        if (message.textContent !== CHECKING) showMessage(CHECKING);
        clearTimeout(timer);
        timer = setTimeout(check, TYPING_PAUSE_MS);
    }

    async function check() {
        const mine = ++turn;
        try {
            const { findings: current, pipe: checked } = await checkDraft(name, code.text);
            if (mine !== turn || left) return;
            code.showFindings(current);
            findings.replaceChildren(...findingsList(current, code.goTo));
            const errors = current.filter(({ severity }) => severity === "error").length;
            saveButton.disabled = !dirty() || errors > 0;
            showMessage(errors ? `${errors === 1 ? "1 error" : `${errors} errors`}. The last valid text still answers.`
                : dirty() ? "No errors. Not saved yet." : "Saved and live.", errors ? "wrong" : dirty() ? "" : "well");
            if (saveRequested) save();
            if (checked) await showPreview(checked, mine);
            else preview.classList.add("old");
        } catch (problem) {
            if (mine === turn && !left) showMessage(sentences(problem.message, problem.hint), "wrong");
        }
    }

    /** Runs the draft. The form follows the parameters of the text; values that still apply stay. */
    async function showPreview({ parameters }, mine) {
        if (JSON.stringify(parameters) !== signature) {
            signature = JSON.stringify(parameters);
            const previous = form ? form.pairs() : values.length ? values : await startingPairs({ parameters });
            const applicable = previous.filter(([key]) => parameters.some((parameter) => parameter.name === key));
            form = makeForm({ name, parameters }, applicable, check);
            formBox.replaceChildren(form.root);
        }
        values = form.pairs();
        back.href = pipeHash(name, values);
        setHash(pipeHash(name, values, true), { replace: true });
        try {
            const answer = await previewDraft(name, code.text, values);
            if (mine !== turn || left) return;
            form.showProblems([]);
            preview.replaceChildren(...answerView(answer));
        } catch (problem) {
            if (mine !== turn || left) return;
            preview.replaceChildren(problemBox(Object.assign(problem, { details: form.showProblems(problem.details ?? []) })));
        }
        preview.classList.remove("old");
    }

    function adopt(source) {
        saved = source;
        basedOn = source.hash;
        conflict.hidden = true;
        changed();
    }

    function discard() {
        code.text = saved.text;
        adopt(saved);
        code.focus();
    }

    async function save() {
        if (saving) return;
        if (saveButton.disabled) { // not checked yet, or with errors: in the first case, save after the check
            saveRequested = dirty() && !saveRequested;
            clearTimeout(timer);
            if (saveRequested) check();
            return;
        }
        const { text } = code;
        saveRequested = false;
        saving = true;
        saveButton.disabled = true;
        showMessage("Saving…");
        try {
            const { hash } = await saveDraft(name, text, basedOn);
            adopt({ text, hash });
            loadPipes().catch(() => {});
            runAllCases();
        } catch (problem) {
            showMessage(sentences(problem.message, problem.hint), "wrong");
            const now = problem.code === "not_saved" ? await loadSource(name).catch(() => null) : null;
            if (now && now.hash !== basedOn) showConflict(now);
            saveButton.disabled = false;
        } finally {
            saving = false;
        }
    }

    /** Somebody else saved meanwhile: show their text; nothing is lost until one of the two is chosen. */
    function showConflict(theirs) {
        conflict.hidden = false;
        conflict.replaceChildren(h("div.notice", {},
            h("p", {}, h("strong", {}, "Somebody else changed the file. "), "Its current text is below. Yours is in the editor."),
            codeBlock(theirs.text, { label: "Current text of the file" }),
            h("div.choice", {},
                h("button", { type: "button", onclick: () => { code.text = theirs.text; adopt(theirs); code.focus(); } }, "Use theirs"),
                h("button", { type: "button", onclick: () => { saved = theirs; basedOn = theirs.hash; conflict.hidden = true; changed(); code.focus(); } }, "Keep mine"))));
        conflict.querySelector("button").focus();
    }

    async function runAllCases() {
        runAgain = casesButton.disabled; // a run is in progress, with an older text
        if (runAgain) return;
        casesButton.disabled = true;
        cases.replaceChildren(h("p.note", {}, "Running the cases…"));
        let results;
        do {
            runAgain = false;
            results = await runCases(name).then(({ cases: all }) => casesView(all, name), (problem) => [problemBox(problem)]);
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
            discardButton.hidden = !dirty();
            check();
        } catch (problem) {
            root.append(problemBox(problem));
        }
    }
    open();
    return { leave: () => { left = true; turn += 1; clearTimeout(timer); } };
}
