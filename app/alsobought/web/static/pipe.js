/* One pipe: its form, its answer, and how the answer was made.
 *
 * The address is the state: `#/pipes/also_bought?item_id=tea&limit=5` can be shared and reloaded.
 */
import { ask } from "./api.js";
import { answerView, curl } from "./answer.js";
import { h, problemBox } from "./dom.js";
import { makeForm } from "./form.js";
import { makeHow } from "./how.js";
import { activeShoppers, findProducts } from "./products.js";
import { note, pipeHash } from "./route.js";
import { stateMark, stateOf } from "./state.js";

/** A pipe that is opened without parameters starts from the most bought product and the most active shopper. */
export async function startingPairs(pipe) {
    const needed = pipe.parameters.filter((one) => one.required).map((one) => one.name);
    const [products, users] = await Promise.all([
        needed.includes("item_id") ? findProducts("").catch(() => []) : [],
        needed.includes("user_id") ? activeShoppers().catch(() => []) : [],
    ]);
    const known = { item_id: products[0]?.id, user_id: users[0]?.user_id };
    return needed.filter((name) => known[name] !== undefined).map((name) => [name, String(known[name])]);
}

const lacksNothing = (pipe, pairs) =>
    pipe.parameters.every((one) => !one.required || pairs.some(([name]) => name === one.name));

export function showPipe(root, pipe, pairs, workbench) {
    const answer = h("section.answer", { "aria-label": "Answer" });
    const command = h("div");
    const status = h("p.hidden", { role: "status" });
    const how = workbench.open ? makeHow(pipe) : null;
    let turn = 0;
    let form = null;

    async function run(given) {
        const mine = ++turn;
        command.replaceChildren(curl(pipe.name, given));
        answer.setAttribute("aria-busy", "true");
        how?.about(given);
        try {
            const got = await ask(pipe.name, given);
            if (mine !== turn) return;
            form.complain([]);
            answer.replaceChildren(...answerView(got));
            status.textContent = `${got.rows} rows.`;
        } catch (problem) {
            if (mine !== turn) return;
            const homeless = form.complain(problem.details ?? []);
            status.textContent = "";
            answer.replaceChildren(problemBox(Object.assign(problem, { details: homeless })));
        } finally {
            if (mine === turn) answer.removeAttribute("aria-busy");
        }
    }

    function send({ changed = false } = {}) {
        const given = form.pairs();
        if (changed && (!lacksNothing(pipe, given) || pipeHash(pipe.name, given) === location.hash)) return;
        note(pipeHash(pipe.name, given));
        edit.href = pipeHash(pipe.name, given, true);
        run(given);
    }

    const edit = h("a.button", { href: pipeHash(pipe.name, pairs, true) }, "Edit");
    const state = h("p.notice", { hidden: true });
    const mark = h("span");

    function say(now) {
        const wrong = stateOf(now);
        mark.replaceChildren(stateMark(now));
        state.hidden = !wrong;
        if (wrong) state.replaceChildren(h("strong", {}, `${wrong[0]}: `), `${wrong[1]}.`);
    }

    /** The list of pipes was loaded again, and says this of it. */
    function refresh(now) {
        say(now ?? pipe);
        how?.refresh();
    }

    say(pipe);

    const head = h("div.head", {}, h("a.back", { href: "#/pipes" }, "← Pipes"),
        h("h2", { tabIndex: -1 }, pipe.name), mark, workbench.edit ? edit : null);
    if (pipe.ready === false) {
        root.replaceChildren(head, state, h("p.note", {}, "It cannot be asked until its file is mended."), ...(how ? [how.root] : []));
        return { leave: () => {}, refresh };
    }

    root.replaceChildren(head, state, h("p.lead", {}, pipe.description), h("p.quiet", {}, "…"));

    async function build() {
        const mine = turn;
        const given = pairs.length ? pairs : await startingPairs(pipe);
        if (mine !== turn) return;
        if (!pairs.length && given.length) note(pipeHash(pipe.name, given), { silently: true });
        edit.href = pipeHash(pipe.name, given, true);
        form = makeForm(pipe, given, send);
        root.replaceChildren(head, state, h("p.lead", {}, pipe.description), form.root, command, status,
            h("div.halves", {}, answer, how?.root ?? null));
        if (lacksNothing(pipe, given)) run(given);
        else answer.replaceChildren(h("p.note", {}, "Fill in what is required, then ask."));
    }
    build();
    return { leave: () => { turn += 1; }, refresh };
}
