/* The login: a key is exchanged for a cookie, which the page cannot read. */
import { logIn, logOut } from "./api.js";
import { h, newId, problemBox } from "./dom.js";

/** A form that asks for a key and reloads the page once it is accepted. */
export function loginForm() {
    const id = newId("key");
    const field = h("input", { id, type: "password", autocomplete: "current-password", required: true, spellcheck: false });
    const problems = h("div", { "aria-live": "polite" });
    const submit = async (event) => {
        event.preventDefault();
        problems.replaceChildren();
        try {
            await logIn(field.value.trim());
            location.reload();
        } catch (problem) {
            problems.replaceChildren(problemBox(problem));
            field.select();
        }
    };
    return h("form.login", { onsubmit: submit },
        h("h1", {}, "Log in"),
        h("p", {}, "This service needs a key of the role ", h("code", {}, "analyst"), " or ", h("code", {}, "admin"), ". ",
            h("code", {}, "alsobought key create NAME --role analyst"), " makes one."),
        h("label", { htmlFor: id }, "Key"),
        field,
        h("button.main", { type: "submit" }, "Log in"),
        problems);
}

/** Who is logged in, and the button that ends that. */
export const account = ({ name, role }) => h("div.account", {},
    h("span.quiet", { title: `Role and scopes: ${role}` }, h("strong", {}, name), ` ${role}`),
    h("button.small", {
        type: "button",
        onclick: async () => {
            await logOut();
            location.reload();
        },
    }, "Log out"));
