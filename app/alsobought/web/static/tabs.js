/* Tabs (the ARIA pattern): arrow keys move between them, and only the selected one is in the tab order. */
import { h, newId } from "./dom.js";

/** `views` are [name, () => element or elements]; returns the tab list and the panel. */
export function tabs(views, first, { label, onchoose = () => {} }) {
    const panel = h("div.panel", { role: "tabpanel", id: newId("panel") });
    const buttons = views.map(([name]) => h("button", { type: "button", role: "tab", id: newId("tab"),
        "aria-controls": panel.id, onclick: () => { choose(name); onchoose(name); } }, name));
    function choose(name) {
        views.forEach(([other], index) => {
            buttons[index].setAttribute("aria-selected", String(other === name));
            buttons[index].tabIndex = other === name ? 0 : -1;
            if (other === name) panel.setAttribute("aria-labelledby", buttons[index].id);
        });
        panel.replaceChildren(...[views.find(([other]) => other === name)[1]()].flat());
    }
    const bar = h("div.tabs", { role: "tablist", "aria-label": label, onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length];
        next.focus();
        next.click();
    } }, buttons);
    choose(views.some(([name]) => name === first) ? first : views[0][0]);
    return [bar, panel];
}
