/* The workbench: every pipe with its sentence, its form and its answer.
 *
 * The hash is the state: `#also_bought?item_id=tea&limit=5` can be shared and reloaded.
 */
import { ask } from "./api.js";
import { answerView, curl } from "./answer.js";
import { h, problemBox } from "./dom.js";
import { makeForm } from "./form.js";

const FOR_PICKERS = ["find_items", "active_users"]; // listed last: they serve the fields of this page

const hashOf = (name, pairs) => `#${encodeURIComponent(name)}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`;

function readHash() {
    const [name, ...rest] = location.hash.slice(1).split("?");
    try {
        return { name: decodeURIComponent(name), pairs: [...new URLSearchParams(rest.join("?"))] };
    } catch {
        return { name, pairs: [] };
    }
}

/** A pipe chosen without parameters starts from the shop's product and shopper, where it must have one. */
function startingPairs(pipe, shop) {
    const known = { item_id: shop.product?.id, user_id: shop.shopper };
    return pipe.parameters.filter((one) => one.required && known[one.name]).map((one) => [one.name, known[one.name]]);
}

const lacksNothing = (pipe, pairs) =>
    pipe.parameters.every((one) => !one.required || pairs.some(([name]) => name === one.name));

export function startBench(section, pipes, shop) {
    const last = (pipe) => FOR_PICKERS.indexOf(pipe.name);
    const ordered = [...pipes].sort((a, b) => last(a) - last(b));
    const links = new Map();
    const items = ordered.map((pipe) => {
        const broken = pipe.ready === false;
        const inside = [h("span.name", {}, pipe.name), h("span.quiet", {}, broken ? "not available just now" : pipe.sentence)];
        const link = broken ? h("span.pipe.off", {}, ...inside) : h("a.pipe", { href: hashOf(pipe.name, []) }, ...inside);
        links.set(pipe.name, link);
        return h("li", {}, link);
    });
    const detail = h("div.detail");
    section.append(h("div.bench", {}, h("nav", { "aria-label": "Pipes" }, h("ul.pipes", {}, items)), detail));
    if (!pipes.length) detail.append(h("p.note", {}, "No pipes yet: write pipes/<name>.sql, then reload."));

    let current = null; // {pipe, form, command, answer, status}
    let turn = 0;

    async function run(pairs) {
        const mine = ++turn;
        const { pipe, form, answer, status, command } = current;
        command.replaceChildren(curl(pipe.name, pairs));
        answer.setAttribute("aria-busy", "true");
        try {
            const got = await ask(pipe.name, pairs);
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

    function send() {
        const pairs = current.form.pairs();
        const hash = hashOf(current.pipe.name, pairs);
        if (hash !== location.hash) history.pushState(null, "", hash);
        run(pairs);
    }

    function build(pipe, pairs) {
        const form = makeForm(pipe, pairs, send);
        current = { pipe, form, command: h("div"), answer: h("div.answer"), status: h("p.hidden", { role: "status" }) };
        for (const [name, link] of links) {
            if (name === pipe.name) link.setAttribute("aria-current", "true");
            else link.removeAttribute("aria-current");
        }
        detail.replaceChildren(h("h3", { tabIndex: -1 }, pipe.name), h("p.lead", {}, pipe.description),
            form.root, current.command, current.status, current.answer);
    }

    function refuse(text) {
        turn += 1;
        current = null;
        for (const link of links.values()) link.removeAttribute("aria-current");
        detail.replaceChildren(h("h3", { tabIndex: -1 }, "No answer"), h("p.note", {}, text));
    }

    /** Show what the hash says, or the first pipe when it says nothing. */
    function follow() {
        const asked = readHash();
        const pipe = asked.name ? pipes.find((one) => one.name === asked.name) : ordered.find((one) => one.ready !== false);
        if (!pipe) return asked.name ? refuse(`There is no pipe called ${asked.name}: choose one from the list.`) : undefined;
        if (pipe.ready === false) return refuse(`${pipe.name} is not available just now: its SQL file does not pass the check.`);
        const pairs = asked.pairs.length ? asked.pairs : startingPairs(pipe, shop);
        if (asked.name && !asked.pairs.length && pairs.length) history.replaceState(null, "", hashOf(pipe.name, pairs));
        build(pipe, pairs);
        if (lacksNothing(pipe, pairs)) return run(pairs);
        return current.answer.replaceChildren(h("p.note", {}, "Fill in what is required, then ask."));
    }

    addEventListener("hashchange", follow);
    section.querySelector(".pipes").addEventListener("click", (event) => {
        const link = event.target.closest("a");
        if (!link) return;
        event.preventDefault();
        history.pushState(null, "", link.getAttribute("href"));
        follow();
        detail.querySelector("h3").focus();
    });
    follow();
    if (location.hash) shop.filled.then(() => section.scrollIntoView()); // the shelves above have their height by then
}
