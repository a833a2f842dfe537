/* One pipe: its form, its answer, and the explanation of the answer.
 *
 * The URL is the state: `#/pipes/also_bought?item_id=tea&limit=5` can be shared and reloaded.
 */
import { run as runPipe } from "./api.js";
import { answerView, curl } from "./answer.js";
import { h, problemBox } from "./dom.js";
import { makeForm } from "./form.js";
import { makeExplanation } from "./explain.js";
import { activeShoppers, findProducts } from "./products.js";
import { pipeHash, setHash } from "./route.js";
import { stateMark, stateOf } from "./state.js";

/** Initial values for required parameters: the most bought product, the most active shopper. */
export async function startingPairs(pipe) {
    const names = pipe.parameters.filter(({ required }) => required).map(({ name }) => name);
    const [products, users] = await Promise.all([
        names.includes("item_id") ? findProducts("").catch(() => []) : [],
        names.includes("user_id") ? activeShoppers().catch(() => []) : [],
    ]);
    const values = { item_id: products[0]?.id, user_id: users[0]?.user_id };
    return names.filter((name) => values[name] !== undefined).map((name) => [name, String(values[name])]);
}

const isComplete = (pipe, pairs) =>
    pipe.parameters.every(({ name, required }) => !required || pairs.some(([key]) => key === name));

export function showPipe(root, pipe, pairs, workbench) {
    const answer = h("section.answer", { "aria-label": "Answer" });
    const command = h("div");
    const status = h("p.hidden", { role: "status" });
    const explanation = workbench.open ? makeExplanation(pipe) : null;
    let turn = 0;
    let form = null;

    async function run(values) {
        const mine = ++turn;
        command.replaceChildren(curl(pipe.name, values));
        answer.setAttribute("aria-busy", "true");
        explanation?.show(values);
        try {
            const result = await runPipe(pipe.name, values);
            if (mine !== turn) return;
            form.showProblems([]);
            show(result, values);
        } catch (problem) {
            if (mine !== turn) return;
            const details = form.showProblems(problem.details ?? []);
            status.textContent = "";
            answer.replaceChildren(problemBox(Object.assign(problem, { details })));
        } finally {
            if (mine === turn) answer.removeAttribute("aria-busy");
        }
    }

    function show(result, values) {
        const more = result.next ? h("button", { type: "button", onclick: () => append(result, values, more) }, "More rows") : null;
        answer.replaceChildren(...answerView(result), ...(more ? [more] : []));
        status.textContent = `${result.rows} rows.`;
        return more;
    }

    /** Show the next page below the rows of the pages before. */
    async function append(before, values, button) {
        const mine = ++turn;
        button.disabled = true;
        try {
            const page = await runPipe(pipe.name, [...values, ["cursor", before.next]]);
            if (mine !== turn) return;
            show({ ...page, data: [...before.data, ...page.data], rows: before.rows + page.rows }, values)?.focus({ preventScroll: true });
        } catch (problem) {
            if (mine !== turn) return;
            button.replaceWith(problemBox(problem));
        }
    }

    function send({ changed = false } = {}) {
        const values = form.pairs();
        if (changed && (!isComplete(pipe, values) || pipeHash(pipe.name, values) === location.hash)) return;
        setHash(pipeHash(pipe.name, values));
        edit.href = pipeHash(pipe.name, values, true);
        run(values);
    }

    const edit = h("a.button", { href: pipeHash(pipe.name, pairs, true) }, "Edit");
    const state = h("p.notice", { hidden: true });
    const mark = h("span");

    function showState(current) {
        const problem = stateOf(current);
        mark.replaceChildren(stateMark(current));
        state.hidden = !problem;
        if (problem) state.replaceChildren(h("strong", {}, `${problem[0]}: `), `${problem[1]}.`);
    }

    /** The list of pipes was reloaded; `current` is the new state of this pipe. */
    function refresh(current) {
        showState(current ?? pipe);
        explanation?.refresh();
    }

    showState(pipe);

    const head = h("div.head", {}, h("a.back", { href: "#/pipes" }, "← Pipes"),
        h("h2", { tabIndex: -1 }, pipe.name), mark, workbench.edit ? edit : null);
    if (pipe.ready === false) {
        root.replaceChildren(head, state, h("p.note", {}, "It cannot answer until its file is fixed."), ...(explanation ? [explanation.root] : []));
        return { leave: () => {}, refresh };
    }

    root.replaceChildren(head, state, h("p.lead", {}, pipe.description), h("p.quiet", {}, "…"));

    async function build() {
        const mine = turn;
        const values = pairs.length ? pairs : await startingPairs(pipe);
        if (mine !== turn) return;
        if (!pairs.length && values.length) setHash(pipeHash(pipe.name, values), { replace: true });
        edit.href = pipeHash(pipe.name, values, true);
        form = makeForm(pipe, values, send);
        while (state.nextSibling) state.nextSibling.remove(); // the head stays in the page, and so does the focus in it
        root.append(h("p.lead", {}, pipe.description), form.root, command, status, h("div.halves", {}, answer, explanation?.root ?? null));
        if (isComplete(pipe, values)) run(values);
        else answer.replaceChildren(h("p.note", {}, "Fill in the required parameters, then run."));
    }
    build();
    return { leave: () => { turn += 1; }, refresh };
}
