/* The form of a pipe, made from its parameters alone: a new pipe gets one without a line here. */
import { h, isNumberType, newId } from "./dom.js";
import { productOption, productPicker, shopperOption, shopperPicker } from "./picker.js";
import { productById } from "./products.js";

const namesAProduct = (name) => name === "item_id" || name.endsWith("_item_id");
const namesAShopper = (name) => name === "user_id";

function select(id, choices, parameter, value) {
    const none = parameter.required ? "Choose…" : parameter.default === null ? "not given" : `default (${parameter.default})`;
    const input = h("select", { id }, h("option", { value: "" }, none),
        choices.map((choice) => h("option", { value: String(choice) }, String(choice))));
    input.value = value;
    return { root: input, input, get value() { return input.value; }, settled: async () => {} };
}

/** A moment as the browser's field wants it, and back: both mean UTC. */
const forField = (text) => {
    const time = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
    return Number.isNaN(time.getTime()) ? "" : time.toISOString().slice(0, 19);
};

function instant(id, parameter, value) {
    const input = h("input", { id, type: "datetime-local", step: "1", value: value && forField(value) });
    return { root: input, input, get value() { return input.value && `${input.value}Z`; }, settled: async () => {} };
}

function plain(id, parameter, value) {
    const type = parameter.type.replace(/^Array\((.*)\)$/, "$1"); // a repeated parameter has one field per value
    const number = isNumberType(type);
    const day = /^Date/.test(type);
    const input = h("input", { id, type: number ? "number" : day ? "date" : "text", value,
        min: number ? parameter.minimum : null, max: number ? parameter.maximum : null,
        step: number ? (/Int/.test(type) ? "1" : "any") : null, autocomplete: "off",
        placeholder: parameter.default === null || day ? "" : String(parameter.default) });
    return { root: input, input, get value() { return input.value.trim(); }, settled: async () => {} };
}

const picked = (input) => input.dispatchEvent(new CustomEvent("pick", { bubbles: true }));

/** One control for one value; an empty one means "not given". */
function control(parameter, value) {
    const id = newId("p");
    if (parameter.choices?.length) return select(id, parameter.choices, parameter, value);
    if (/Bool/.test(parameter.type)) return select(id, ["true", "false"], parameter, value);
    if (namesAShopper(parameter.name)) {
        const picker = shopperPicker({ id, clearable: true, onchoose: () => picked(picker.input) });
        if (value) picker.show(shopperOption(value));
        return picker;
    }
    if (namesAProduct(parameter.name)) {
        const fromText = (text) => ({ value: text, label: text, hintLabel: `The id “${text}”` });
        const picker = productPicker({ id, clearable: true, fromText, onchoose: () => picked(picker.input) });
        if (value) {
            picker.show({ value, label: value });
            productById(value).then((product) => { if (picker.value === value) picker.show(productOption(product)); });
        }
        return picker;
    }
    return /DateTime/.test(parameter.type) ? instant(id, parameter, value) : plain(id, parameter, value);
}

function rangeText({ type, minimum, maximum, default: usual, choices }) {
    const range = minimum === null && maximum === null ? "" : maximum === null ? `from ${minimum}`
        : minimum === null ? `up to ${maximum}` : `${minimum} to ${maximum}`;
    const zone = type.includes("DateTime") ? "UTC" : "";
    return [zone, range, usual === null || usual === "" || choices || /Bool/.test(type) ? "" : `default ${usual}`].filter(Boolean).join(", ");
}

/** The field of one parameter: label, control or controls, description, and the place for its error. */
function field(parameter, values) {
    const hint = h("p.quiet", { id: newId("hint") },
        [parameter.description, rangeText(parameter)].filter(Boolean).join(" · "));
    const wrong = h("p.wrong", { id: newId("wrong"), hidden: true });
    const many = parameter.repeated;
    const controls = [];
    const rows = h("div.values");

    function add(value = "") {
        const one = control(parameter, value);
        one.input.setAttribute("aria-describedby", `${hint.id} ${wrong.id}`);
        if (parameter.required && !controls.length) one.input.setAttribute("aria-required", "true");
        controls.push(one);
        if (!many) return rows.append(one.root), one;
        one.input.setAttribute("aria-label", `${parameter.name} ${controls.length}`);
        const row = h("div.value", {}, one.root);
        if (controls.length > 1) {
            row.append(h("button.small", { type: "button", "aria-label": `Remove this ${parameter.name}`, onclick: () => {
                controls.splice(controls.indexOf(one), 1);
                row.remove();
                controls.at(-1).input.focus();
                picked(controls.at(-1).input);
            } }, "×"));
        }
        rows.append(row);
        return one;
    }

    for (const value of values.length ? values : [""]) add(value);
    const name = [h("code", {}, parameter.name), parameter.required ? h("span.quiet", {}, " required") : null];
    const more = many ? h("button.small.more", { type: "button", "aria-label": `Add another ${parameter.name}`, title: "Add another",
        onclick: () => add().input.focus() }, "+") : null;
    const root = many
        ? h("fieldset.field", {}, h("legend", {}, ...name), h("div.many", {}, rows, more), hint, wrong)
        : h("div.field", {}, h("label", { htmlFor: controls[0].input.id }, ...name), rows, hint, wrong);

    function complain(text) {
        wrong.textContent = text;
        wrong.hidden = !text;
        for (const one of controls) one.input.toggleAttribute("aria-invalid", Boolean(text));
        if (text) for (const one of controls) one.input.setAttribute("aria-invalid", "true");
    }

    return { name: parameter.name, root, complain, settled: () => Promise.all(controls.map((one) => one.settled())),
        pairs: () => controls.map((one) => [parameter.name, one.value]).filter(([, value]) => value !== ""),
        focus: () => controls[0].input.focus() };
}

/** A form for the pipe, filled from [name, value] pairs. `onask({changed})` when it is sent, or a value was changed. */
export function makeForm(pipe, pairs, onask) {
    const fields = pipe.parameters.map((parameter) =>
        field(parameter, pairs.filter(([name]) => name === parameter.name).map(([, value]) => value)));
    const root = h("form.form", { noValidate: true, "aria-label": `Parameters of ${pipe.name}`,
        onchange: async (event) => {
            if (event.target.getAttribute("role") === "combobox") return; // a picker says when something was picked
            await Promise.all(fields.map((one) => one.settled()));
            onask({ changed: true });
        },
        onpick: () => onask({ changed: true }),
        onsubmit: async (event) => {
            event.preventDefault();
            await Promise.all(fields.map((one) => one.settled()));
            onask();
        } },
        fields.length ? null : h("p.quiet", {}, "This pipe takes no parameters."),
        h("div.fields", {}, fields.map((one) => one.root), h("button.main.send", { type: "submit" }, "Ask")));
    return {
        root,
        pairs: () => fields.flatMap((one) => one.pairs()),
        /** Show each detail at its parameter; returns the details that have no field here. */
        complain(details) {
            const texts = (name) => details.filter((one) => one.param === name).map((one) => one.problem).join("; ");
            for (const one of fields) one.complain(texts(one.name));
            return details.filter((detail) => !fields.some((one) => one.name === detail.param));
        },
    };
}
