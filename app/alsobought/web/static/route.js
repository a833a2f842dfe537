/* Routes, in the fragment of the URL: `#/shop`, `#/live`, `#/pipes`, `#/pipes/also_bought?item_id=tea`, `#/pipes/also_bought/edit`,
 * `#/metrics`, `#/experiments`, `#/experiments/ranked`,
 * `#/why/fddfb04eafd94fe7`, `#/audit`. */

const VIEWS = ["shop", "pipes", "metrics", "experiments", "live", "why", "audit"];

const decode = (text) => {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
};

/** The route of the URL, as {view, name, edit, pairs}; the shop for an unknown view. */
export function readRoute(hash = location.hash) {
    const [path, ...rest] = hash.replace(/^#\/?/, "").split("?");
    const [view, name = "", more = ""] = path.split("/").map(decode);
    const pairs = [...new URLSearchParams(rest.join("?"))];
    if (!VIEWS.includes(view)) return { view: "shop", name: "", edit: false, pairs: [] };
    return { view, name, edit: more === "edit", pairs };
}

export function pipeHash(name, pairs = [], edit = false) {
    return `#/pipes/${encodeURIComponent(name)}${edit ? "/edit" : ""}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`;
}

/** The explanation of a request, by its request_id or recommendation_id. */
export const whyHash = (id) => `#/why/${encodeURIComponent(id)}`;
export const experimentHash = (name) => `#/experiments/${encodeURIComponent(name)}`;

/** Set the URL of the current view without showing it again; with `replace`, without a new history entry. */
export function setHash(hash, { replace = false } = {}) {
    if (hash === location.hash) return;
    if (replace) history.replaceState(null, "", hash);
    else history.pushState(null, "", hash);
}
