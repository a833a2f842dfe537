/*! Alsobought, Apache-2.0 */
/* Alsobought in React: a hook for one's own list, a hook for one's own card, and the shelf. */
import { createElement, useCallback, useEffect, useRef, useState } from "react";
import { observe, recommend } from "./alsobought.js";

const WAITS = { items: [], answer: null, error: null, loading: true };

/** The items of a surface, or of `{pipe: "name"}`: `{items, answer, error, loading}`. Asked again when the consent or the user changes. */
export function useRecommendations(surface, parameters = {}) {
    const [state, setState] = useState(WAITS), [asked, setAsked] = useState(0);
    const text = JSON.stringify([surface, parameters]);
    useEffect(() => {
        const again = () => setAsked((times) => times + 1);
        document.addEventListener("alsobought-change", again);
        return () => document.removeEventListener("alsobought-change", again);
    }, []);
    useEffect(() => {
        let current = true;
        const set = (next) => current && setState({ ...WAITS, loading: false, ...next });
        recommend(...JSON.parse(text)).then((answer) => set({ answer, items: answer.items }), (error) => set({ error }));
        return () => { current = false; };
    }, [text, asked]);
    return state;
}

/** A `ref` for the element that shows this item: its impression and clicks are reported. */
export function useImpression(item) {
    const end = useRef(null), { item_id, recommendation_id } = item;
    return useCallback((element) => {
        end.current?.();
        end.current = element ? observe(element, item) : null;
    }, [item_id, recommendation_id]);
}

function Card({ item, children }) {
    return createElement("li", { ref: useImpression(item) }, children);
}

/** `<also-bought>`, or with `renderItem` a list of the shop's own cards. */
export function Shelf({ surface, pipe, item, limit = 4, heading, parameters, renderItem, ...props }) {
    if (renderItem) return createElement(OwnShelf, { surface: pipe ? { pipe } : surface, parameters: { ...parameters, item_id: item, limit }, heading, renderItem, ...props });
    const query = parameters && String(new URLSearchParams(parameters));
    return createElement("also-bought", { surface, pipe, item, limit, heading, parameters: query, ...props });
}

function OwnShelf({ surface, parameters, heading, renderItem, ...props }) {
    const { items } = useRecommendations(surface, parameters);
    if (!items.length) return null;
    const cards = items.map((item) => createElement(Card, { key: item.item_id, item }, renderItem(item)));
    return createElement("section", { "aria-label": heading, ...props }, heading && createElement("h2", null, heading), createElement("ul", { role: "list" }, cards));
}
