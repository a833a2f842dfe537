/* A search field with a list of options (the ARIA combobox pattern), and the pickers of products and shoppers.
 *
 * Typing filters, arrows move, Enter chooses, Escape cancels. Leaving a field that contains text chooses as well,
 * so a form must await `settled()` before it reads the value.
 */
import { h, newId } from "./dom.js";
import { activeShoppers, findProducts, tile } from "./products.js";

const TYPING_PAUSE_MS = 120;

/**
 * find(text) -> options {value, label, note?, picture?}; fromText(text) -> an option for the text itself, or null;
 * eager: Enter chooses the first option without an arrow key; clearable: an empty field means no value.
 */
export function combobox({ id = newId("pick"), placeholder = "", find, fromText = () => null, eager = false,
    clearable = false, onchoose = () => {} }) {
    const listId = `${id}-list`;
    const input = h("input", { id, type: "text", role: "combobox", autocomplete: "off", spellcheck: false, placeholder,
        "aria-expanded": "false", "aria-controls": listId, "aria-autocomplete": "list" });
    const list = h("ul", { id: listId, role: "listbox", "aria-label": "Choices" });
    const status = h("p.quiet", { role: "status" });
    const popup = h("div.popup", { hidden: true }, list, status);
    const root = h("div.combobox", {}, input, popup);

    let chosen = null;
    let options = [];
    let active = -1;
    let latest = 0; // number of the latest search; results of earlier ones are ignored
    let timer = 0;
    let typed = false; // the text was edited since the last choice
    let searching = Promise.resolve();

    function show(option) {
        chosen = option;
        typed = false;
        input.value = option?.label ?? "";
    }

    function close() {
        clearTimeout(timer);
        latest += 1; // a pending search must not open the list again
        popup.hidden = true;
        active = -1;
        input.setAttribute("aria-expanded", "false");
        input.removeAttribute("aria-activedescendant");
    }

    function choose(option) {
        close();
        show(option);
        onchoose(option);
    }

    function mark(index) {
        active = index;
        [...list.children].forEach((item, position) => item.setAttribute("aria-selected", String(position === index)));
        if (index < 0) return input.removeAttribute("aria-activedescendant");
        input.setAttribute("aria-activedescendant", list.children[index].id);
        list.children[index].scrollIntoView({ block: "nearest" });
    }

    function showOptions(results, text) {
        const same = results.some((option) => option.label === text || option.value === text);
        const typedOption = text && !same ? fromText(text) : null;
        options = typedOption ? [...results, typedOption] : results;
        list.replaceChildren(...options.map((option, index) => h("li", { id: `${id}-${index}`, role: "option" },
            option.picture?.() ?? null,
            h("span.what", {}, h("span", {}, option.hintLabel ?? option.label),
                option.note ? h("span.quiet", {}, option.note) : null))));
        status.textContent = options.length ? "" : "No matches. Try other words.";
        popup.hidden = false;
        input.setAttribute("aria-expanded", "true");
        mark(eager && typed && options.length ? 0 : -1);
    }

    async function search() {
        const mine = ++latest;
        const text = typed ? input.value.trim() : "";
        const results = await find(text).catch((problem) => problem);
        if (mine !== latest) return;
        if (results instanceof Error) {
            showOptions([], text);
            status.textContent = results.message;
        } else {
            showOptions(results, text);
        }
    }

    function searchSoon() {
        clearTimeout(timer);
        searching = new Promise((done) => {
            timer = setTimeout(() => search().finally(done), TYPING_PAUSE_MS);
        });
    }

    /** Choose the marked option, else the option for the text itself, else the previous choice. */
    async function commit() {
        if (!typed) return close();
        const text = input.value.trim();
        if (!text) return clearable ? choose(null) : (close(), show(chosen));
        if (eager) await Promise.race([searching, new Promise((done) => setTimeout(done, 2000))]);
        if (!typed || input.value.trim() !== text) return undefined; // chosen or retyped meanwhile
        const option = options[active] ?? options.find(({ value, label }) => value === text || label === text) ?? fromText(text);
        return option ? choose(option) : (close(), show(chosen));
    }

    let settling = Promise.resolve();
    const settle = () => (settling = commit());

    input.addEventListener("input", () => { typed = true; searchSoon(); });
    input.addEventListener("click", () => { if (popup.hidden) { input.select(); search(); } });
    input.addEventListener("blur", settle);
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // keep the focus in the field
    list.addEventListener("click", (event) => {
        const index = [...list.children].indexOf(event.target.closest("li"));
        if (index >= 0) choose(options[index]);
    });
    input.addEventListener("keydown", (event) => {
        const { key } = event;
        const step = { ArrowDown: 1, ArrowUp: -1 }[key];
        if (step) {
            event.preventDefault();
            if (popup.hidden) search();
            else if (options.length) mark(active < 0 && step < 0 ? options.length - 1 : (active + step + options.length) % options.length);
        } else if (key === "Escape") {
            if (!popup.hidden) event.stopPropagation();
            close();
            show(chosen);
        } else if (key === "Enter" && (typed || (!popup.hidden && active >= 0))) {
            event.preventDefault();
            if (!typed) choose(options[active]);
            else settle();
        }
    });

    return { root, input, show, settled: () => (typed ? settle() : settling), get value() { return chosen?.value ?? ""; } };
}

export const productOption = (product) => ({ value: product.id, label: product.title, product,
    note: [product.category, !Number(product.price) ? "" : Number(product.price).toFixed(2)].filter(Boolean).join(" · "),
    picture: () => tile(product) });

export function productPicker(settings) {
    const find = async (text) => (await findProducts(text)).map(productOption);
    return combobox({ placeholder: "Search by title", eager: true, find, ...settings });
}

export const shopperOption = (name) => ({ value: name, label: name, hintLabel: `New shopper “${name}”` });

export function shopperPicker(settings) {
    const find = async (text) => (await activeShoppers())
        .filter((row) => String(row.user_id).toLowerCase().includes(text.toLowerCase()))
        .slice(0, 8)
        .map((row) => ({ value: String(row.user_id), label: String(row.user_id),
            note: row.events === undefined ? "" : `${row.events} events` }));
    return combobox({ placeholder: "New or existing name", find, fromText: shopperOption, ...settings });
}
