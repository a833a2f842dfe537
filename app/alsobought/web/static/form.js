/* The form of a pipe, generated from its parameters. */
import { h, isNumberType, newId } from "./dom.js";
import { productOption, productPicker, shopperOption, shopperPicker } from "./picker.js";
import { productById } from "./products.js";

const isProductId = (name) => name === "item_id" || name.endsWith("_item_id");
const isShopperId = (name) => name === "user_id";

function select(id, choices, parameter, value) {
    const none = parameter.required ? "Choose…" : parameter.default === null ? "not set" : `default (${parameter.default})`;
    const input = h("select", { id }, h("option", { value: "" }, none),
        choices.map((choice) => h("option", { value: String(choice) }, String(choice))));
    input.value = value;
    return { root: input, input, get value() { return input.value; }, settled: async () => {} };
}

/** A time in the format of a datetime-local field. Both are UTC. */
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

/** A control for one value; an empty one leaves the parameter out. */
function control(parameter, value) {
    const id = newId("p");
    if (parameter.choices?.length) return select(id, parameter.choices, parameter, value);
    if (/Bool/.test(parameter.type)) return select(id, ["true", "false"], parameter, value);
    if (isShopperId(parameter.name)) {
        const picker = shopperPicker({ id, clearable: true, onchoose: () => picked(picker.input) });
        if (value) picker.show(shopperOption(value));
        return picker;
    }
    if (isProductId(parameter.name)) {
        const fromText = (text) => ({ value: text, label: text, hintLabel: `Use the id “${text}”` });
        const picker = productPicker({ id, clearable: true, fromText, onchoose: () => picked(picker.input) });
        if (value) {
            picker.show({ value, label: value });
            productById(value).then((product) => { if (picker.value === value) picker.show(productOption(product)); });
        }
        return picker;
    }
    return /DateTime/.test(parameter.type) ? instant(id, parameter, value) : plain(id, parameter, value);
}

const LARGE = 1e9;
const shown = (limit) => (typeof limit === "number" ? limit.toLocaleString("en") : limit);

function rangeText({ type, minimum, maximum, default: preset, choices }) {
    const upper = typeof maximum === "number" && maximum >= LARGE ? null : maximum; // a limit that nobody reaches is not shown
    const range = minimum === null && upper === null ? "" : upper === null ? `from ${shown(minimum)}`
        : minimum === null ? `up to ${shown(upper)}` : `${shown(minimum)} to ${shown(upper)}`;
    const zone = type.includes("DateTime") ? "UTC" : "";
    return [zone, range, preset === null || preset === "" || choices || /Bool/.test(type) ? "" : `default ${preset}`].filter(Boolean).join(", ");
}

/** The field of a parameter: label, controls, description, and error message. */
function field(parameter, values) {
    const hint = h("p.quiet", { id: newId("hint") },
        [parameter.description, rangeText(parameter)].filter(Boolean).join(" · "));
    const wrong = h("p.wrong", { id: newId("wrong"), hidden: true });
    const { repeated } = parameter;
    const controls = [];
    const rows = h("div.values");

    function add(value = "") {
        const added = control(parameter, value);
        added.input.setAttribute("aria-describedby", `${hint.id} ${wrong.id}`);
        if (parameter.required && !controls.length) added.input.setAttribute("aria-required", "true");
        controls.push(added);
        if (!repeated) return rows.append(added.root), added;
        added.input.setAttribute("aria-label", `${parameter.name} ${controls.length}`);
        const row = h("div.value", {}, added.root);
        if (controls.length > 1) {
            row.append(h("button.small", { type: "button", "aria-label": `Remove this ${parameter.name}`, onclick: () => {
                controls.splice(controls.indexOf(added), 1);
                row.remove();
                controls.at(-1).input.focus();
                picked(controls.at(-1).input);
            } }, "×"));
        }
        rows.append(row);
        return added;
    }

    for (const value of values.length ? values : [""]) add(value);
    const name = [h("code", {}, parameter.name), parameter.required ? h("span.quiet", {}, " required") : null];
    const more = repeated ? h("button.small.more", { type: "button", "aria-label": `Add another ${parameter.name}`, title: "Add another",
        onclick: () => add().input.focus() }, "+") : null;
    const root = repeated
        ? h("fieldset.field", {}, h("legend", {}, ...name), h("div.many", {}, rows, more), hint, wrong)
        : h("div.field", {}, h("label", { htmlFor: controls[0].input.id }, ...name), rows, hint, wrong);

    function showProblem(text) {
        wrong.textContent = text;
        wrong.hidden = !text;
        for (const { input } of controls) {
            if (text) input.setAttribute("aria-invalid", "true");
            else input.removeAttribute("aria-invalid");
        }
    }

    return { name: parameter.name, root, showProblem, settled: () => Promise.all(controls.map((each) => each.settled())),
        pairs: () => controls.map((each) => [parameter.name, each.value]).filter(([, value]) => value !== ""),
        focus: () => controls[0].input.focus() };
}

/** A form for the pipe, filled from [name, value] pairs. Calls `onrun({changed})` on submit and after a change. */
export function makeForm(pipe, pairs, onrun) {
    const fields = pipe.parameters.map((parameter) =>
        field(parameter, pairs.filter(([name]) => name === parameter.name).map(([, value]) => value)));
    const root = h("form.form", { noValidate: true, "aria-label": `Parameters of ${pipe.name}`,
        onchange: async (event) => {
            if (event.target.getAttribute("role") === "combobox") return; // a picker sends `pick`
            await Promise.all(fields.map((each) => each.settled()));
            onrun({ changed: true });
        },
        onpick: () => onrun({ changed: true }),
        onsubmit: async (event) => {
            event.preventDefault();
            await Promise.all(fields.map((each) => each.settled()));
            onrun();
        } },
        fields.length ? null : h("p.quiet", {}, "This pipe takes no parameters."),
        h("div.fields", {}, fields.map((each) => each.root), h("button.main.send", { type: "submit" }, "Run")));
    return {
        root,
        pairs: () => fields.flatMap((each) => each.pairs()),
        /** Show each error detail at its field; returns the details without a field. */
        showProblems(details) {
            const texts = (name) => details.filter(({ param }) => param === name).map(({ problem }) => problem).join("; ");
            for (const each of fields) each.showProblem(texts(each.name));
            return details.filter((detail) => !fields.some(({ name }) => name === detail.param));
        },
    };
}
