/* The address: `#/shop`, `#/live`, `#/pipes`, `#/pipes/also_bought?item_id=tea`, `#/pipes/also_bought/edit`. */

const VIEWS = ["shop", "pipes", "live"];

const plain = (text) => {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
};

/** {view, name, edit, pairs}: what the address asks for; the shop where it asks for nothing that is there. */
export function readRoute(hash = location.hash) {
    const [path, ...rest] = hash.replace(/^#\/?/, "").split("?");
    const [view, name = "", more = ""] = path.split("/").map(plain);
    const pairs = [...new URLSearchParams(rest.join("?"))];
    if (!VIEWS.includes(view)) return { view: "shop", name: "", edit: false, pairs: [] };
    return { view, name, edit: more === "edit", pairs };
}

export function pipeHash(name, pairs = [], edit = false) {
    return `#/pipes/${encodeURIComponent(name)}${edit ? "/edit" : ""}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`;
}

/** Another address for what is shown already; with `silently` the back button does not lead to the one before. */
export function note(hash, { silently = false } = {}) {
    if (hash === location.hash) return;
    if (silently) history.replaceState(null, "", hash);
    else history.pushState(null, "", hash);
}
