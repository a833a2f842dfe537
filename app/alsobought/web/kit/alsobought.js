/*! Alsobought, Apache-2.0 */
/* Alsobought on the pages of a shop: recommendations, the events they learn from, and <also-bought>, a shelf.
 *
 * Without consent nothing is stored and no event is sent. Events wait in localStorage until the service has them; each has an
 * event_id, so that one which is sent twice counts once. Fields have the names of the HTTP API.
 */
const STORAGE_KEY = "alsobought";
const MAX_QUEUE = 200, MAX_BATCH = 50, MAX_CLICKS = 100, MAX_TEXT = 2e4; // characters: a beacon has 64 KB
const DAY = 864e5, CLICK_DAYS = 7, VISIT_MS = 18e5; // half an hour without an event ends a visit
const SEND_MS = 2000, RETRY_MS = 3e4, SEEN_MS = 1000, TIMEOUT_MS = 5000;
const CHANGE = "alsobought-change"; // of the document: the list of a shelf may be another one now
const SHOWN = ["item_id", "recommendation_id", "position"];
const FIELDS = [...SHOWN, "quantity", "price", "category", "properties"];

let config, running = false, agreed = false, user = {}, timer = 0, sending = false, failed = false, begin;
const started = new Promise((resolve) => { begin = resolve; });
const early = []; // events before start()

/** Call it once on every page, before or after the first shelf is in it. */
export function start(options) {
    if (config) return;
    config = { ...options, url: (options.url ?? import.meta.url.replace(/kit\/[^/]*$/, "")).replace(/\/*$/, "/") };
    setConsent(options.consent);
    if (options.userId) identify(options.userId, options.token);
    addEventListener("online", () => flush());
    addEventListener("pagehide", () => flush(true));
    document.addEventListener("visibilitychange", () => document.hidden && flush(true));
    addEventListener("storage", ({ key, newValue }) => { if (key === STORAGE_KEY && !newValue) agreed = false; }); // another tab
    early.splice(0).forEach((event) => track(...event));
    running = true;
    begin();
    later(SEND_MS); // what an earlier page has left
}

function setConsent(given) {
    const refused = !config.ignoreDoNotTrack && (navigator.globalPrivacyControl || navigator.doNotTrack === "1");
    agreed = given === true && !refused;
    if (!agreed) {
        memory = null;
        try { localStorage.removeItem(STORAGE_KEY); } catch { /* there is none */ }
    }
}

/** Given: guests get an id, events are sent. Withdrawn: the id, waiting events and remembered clicks are deleted. */
export async function consent(given) {
    if (!config) await started;
    setConsent(given);
    changed();
}

const changed = () => { if (running) document.dispatchEvent(new Event(CHANGE)); };

// What is stored: {guest, visit: [id, time], clicks: [[item_id, recommendation_id, position, time]], queue: [event], skew}

let memory = null; // where localStorage is not to be had

function change(edit = () => {}) {
    if (!agreed) return {};
    let text = memory, state = {};
    try { text ??= localStorage.getItem(STORAGE_KEY); state = { ...JSON.parse(text) }; } catch { /* broken, or blocked */ }
    for (const list of ["queue", "clicks"]) if (!Array.isArray(state[list])) state[list] = [];
    edit(state);
    const edited = JSON.stringify(state);
    if (memory === null && edited !== text) try { localStorage.setItem(STORAGE_KEY, edited); } catch { memory = edited; }
    else if (memory !== null) memory = edited;
    return state;
}

const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A guest keeps one session_id, by which all visits are known; the session_id of a user is that of the visit. */
function whoIs(state) {
    if (!user.id) return { session_id: state.guest ??= `guest-${randomId()}` };
    const now = Date.now(), [visit, last] = state.visit ?? [];
    state.visit = [now - last < VISIT_MS ? visit : randomId(), now];
    return { user_id: user.id, session_id: state.visit[0] };
}

/** The session_id of a guest, for a backend that merges it when the guest logs in; "" without one. */
export const guestId = () => change().guest ?? "";

/** The user who is logged in, or null after the logout. With a token that may post events, the guest becomes this user. */
export async function identify(userId, token) {
    if (!config) await started;
    const before = user;
    user = userId ? { id: String(userId), token, posts: maySend(token) } : {};
    if (before.id && before.id !== user.id) change((state) => { state.clicks = []; delete state.guest; delete state.visit; });
    if (before.id !== user.id || before.token !== token) changed();
    const guest = guestId();
    if (!guest || !user.posts) return;
    const { status } = await request("users/merge", { method: "POST", body: JSON.stringify({ guest_id: guest, user_id: user.id }) });
    if (status < 401) change((state) => { if (state.guest === guest) delete state.guest; }); // 400: it never can be
}

function maySend(token) {
    try { return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).scopes.includes("events:write"); } catch { return false; }
}

// Events

const pick = (item, names) => Object.fromEntries(names.filter((name) => item[name] != null).map((name) => [name, item[name]]));
const fieldsOf = (item, names = FIELDS) => item?.item_id != null ? pick(item, names) : { item_id: item };

/** An event of any type. `item` is an item_id, or an object with one and other fields of an event. */
export function track(event_type, item, more) {
    if (!config) return void early.push([event_type, item, more]);
    if (!agreed) return;
    change((state) => {
        const event = { event_id: randomId(), event_type, timestamp: Date.now(), ...whoIs(state), ...fieldsOf(item), ...more };
        event.item_id = String(event.item_id);
        state.queue.push(event);
        if (state.queue.length > MAX_QUEUE) state.queue.splice(Math.max(0, state.queue.findIndex((one) => one.event_type === "impression")), 1);
    });
    later(SEND_MS);
}

/** The recommendation by which a buyer came to an item in this browser: `{recommendation_id, position}`, or `{}`. */
export function lastClick(itemId) {
    const [, recommendation_id, position] = change().clicks?.find(([id, , , at]) => id === String(itemId) && at > Date.now() - CLICK_DAYS * DAY) ?? [];
    return recommendation_id ? { recommendation_id, position } : {};
}

export const view = (item) => track("view", item);

/** A click on an item of an answer. */
export function click(item) {
    const { item_id, recommendation_id, position } = item, now = Date.now();
    track("click", fieldsOf(item, SHOWN));
    if (recommendation_id) change((state) => {
        const others = state.clicks.filter(([id, , , at]) => id !== String(item_id) && at > now - CLICK_DAYS * DAY);
        state.clicks = [[String(item_id), recommendation_id, position, now], ...others].slice(0, MAX_CLICKS);
    });
}

const withClick = (item) => { const fields = fieldsOf(item); return { ...lastClick(fields.item_id), ...fields }; };
export const addToCart = (item) => track("add_to_cart", withClick(item));
export const removeFromCart = (item) => track("remove_from_cart", item);

/** `{order_id, items: [{item_id, quantity, price}]}`. A page that is loaded again sends the same events, which count once. */
export function purchase({ order_id, items }) {
    items.forEach((item, line) => track("purchase", withClick(item), {
        ...(order_id != null && { order_id: String(order_id), event_id: `page:${order_id}:${line}` }), order_size: items.length,
    }));
    flush();
}

function later(ms) { timer ||= setTimeout(flush, ms); }

/** Send what waits. While the page is shown by fetch, whose status says what to send again; when it goes away by beacon. */
export async function flush(leaving) {
    clearTimeout(timer);
    timer = 0;
    const { queue = [], skew = 0 } = change();
    if (!queue.length || navigator.onLine === false || (leaving === true ? failed : sending)) return;
    const isOwn = (event) => Boolean(user.posts && event.user_id === user.id), own = isOwn(queue[0]);
    let events = queue.filter((event) => isOwn(event) === own).slice(0, MAX_BATCH).map((event) => ({ ...event, timestamp: event.timestamp + skew }));
    while (events.length > 1 && JSON.stringify(events).length > MAX_TEXT) events = events.slice(0, events.length / 2);
    const key = own ? user.token : config.key, body = JSON.stringify(key ? { key, events } : events);
    const ids = new Set(events.map((event) => event.event_id));
    const remove = () => change((state) => { state.queue = state.queue.filter((event) => !ids.has(event.event_id)); });
    if (leaving === true && navigator.sendBeacon?.(`${config.url}events`, body)) { remove(); return flush(true); }
    sending = true;
    const { status, problem } = await send("events", { method: "POST", body, keepalive: body.length < 2 * MAX_TEXT });
    sending = false;
    failed = !status || status === 429 || status >= 500;
    if (failed) return later(RETRY_MS); // until then it waits, also for the next page
    if (status === 401 && own) user.posts = false; // the token has expired
    else remove();
    if (problem) console.warn(`alsobought: ${problem}`);
    later(0);
}

/** Status 0 if the service cannot be reached. */
async function send(path, options) {
    try {
        const response = await fetch(config.url + path, { credentials: "omit", ...options }), answer = await response.json();
        const ahead = Date.parse(response.headers.get("Date")) - Date.now();
        if (ahead) change((state) => { state.skew = Math.abs(ahead) > 3e4 ? ahead : 0; }); // a clock that is wrong
        const { message, hint } = answer.error ?? {};
        return { status: response.status, answer, problem: message ? `${message}. ${hint ?? ""}` : answer.rejected?.[0]?.problem };
    } catch (error) {
        return { status: 0, problem: String(error) };
    }
}

/** With the token of the user in a header, else with the key in the address: that needs no question beforehand (preflight). */
async function request(path, options) {
    const { token } = user, url = token || !config.key ? path : `${path}${path.includes("?") ? "&" : "?"}key=${encodeURIComponent(config.key)}`;
    const result = await send(url, token ? { ...options, headers: { Authorization: `Bearer ${token}` } } : options);
    if (result.status !== 401 || !token || user.token !== token) return result;
    user = { id: user.id }; // it has expired
    return request(path, options);
}

// Recommendations

const safeUrl = (text) => { try { return text && /^https?:$/.test(new URL(text, document.baseURI).protocol) ? text : ""; } catch { return ""; } };

function priceText({ price, currency = config.currency }) {
    if (!(price > 0)) return "";
    const style = currency || config.currency ? { style: "currency", currency: currency || config.currency } : {};
    try { return new Intl.NumberFormat(config.locale || document.documentElement.lang || undefined, style).format(price); } catch { return `${price} ${currency}`; }
}

const itemOf = (recommendation_id) => (row, index) => {
    const item_id = String(row.other_item_id ?? row.item_id);
    return { ...row, item_id, title: row.title || item_id, price_text: priceText(row), url: safeUrl(row.url), image: safeUrl(row.image), position: index + 1, recommendation_id };
};

/** The answer of a surface, or of `{pipe: "name"}`, with `items` to show: each has an item_id, a title, a price_text and safe addresses. Throws an Error. */
export async function recommend(surface, parameters = {}) {
    await started;
    const [folder, name] = surface.pipe ? ["pipes", surface.pipe] : ["recommend", surface];
    const query = new URLSearchParams(Object.entries(parameters).flatMap(([name, value]) => [value].flat().filter((one) => one != null && one !== "").map((one) => [name, one])));
    if (name === surface && agreed && !user.token) change((state) => query.set("session_id", whoIs(state).session_id));
    const { answer, problem } = await request(`${folder}/${encodeURIComponent(name)}?${query}`, { signal: AbortSignal.timeout?.(TIMEOUT_MS) });
    if (problem) throw new Error(problem);
    return { ...answer, items: answer.data.map(itemOf(answer.recommendation_id)) };
}

const seen = new Set(), shown = new WeakMap(), timers = new WeakMap();
let observer;

function onIntersection(entries) {
    for (const { target, intersectionRatio } of entries) {
        clearTimeout(timers.get(target));
        if (intersectionRatio >= 0.5) timers.set(target, setTimeout(() => impress(target), SEEN_MS));
    }
}

function impress(element) {
    const item = shown.get(element), key = `${item.recommendation_id} ${item.item_id}`;
    observer.unobserve(element);
    if (document.hidden) return observer.observe(element); // reported again once the tab is looked at
    if (agreed && !seen.has(key)) { seen.add(key); track("impression", fieldsOf(item, SHOWN)); }
}

/** Report the impression and the clicks of an element that shows an item of an answer. Returns what ends that. */
export function observe(element, item) {
    observer ??= new IntersectionObserver(onIntersection, { threshold: 0.5 });
    const clicked = ({ button }) => { if (button < 2) click(item); };
    shown.set(element, item);
    observer.observe(element);
    for (const type of ["click", "auxclick"]) element.addEventListener(type, clicked);
    return () => {
        observer.unobserve(element);
        clearTimeout(timers.get(element));
        for (const type of ["click", "auxclick"]) element.removeEventListener(type, clicked);
    };
}

// The shelf

const CSS = `:host{display:block}:host([hidden]){display:none!important}
h2{margin:0 0 .75rem;font-size:1.25rem;line-height:1.3}
ul{list-style:none;margin:0;padding:0;display:grid;gap:1.25rem 1rem;grid-template-columns:repeat(auto-fill,minmax(min(var(--alsobought-card-width,11rem),45%),1fr))}
li{min-width:0}
[part=card]{display:flex;flex-direction:column;gap:.25rem;color:inherit;text-decoration:none;line-height:1.35}
[part=image]{aspect-ratio:1;margin-bottom:.25rem;display:grid;place-items:center;overflow:hidden;border-radius:.5rem;font-size:2rem;background:color-mix(in srgb,currentColor 7%,transparent)}
[part=image]::before{content:attr(data-initial);opacity:.4}
[part=image]:has(img)::before{content:none}
img{width:100%;height:100%;object-fit:cover}
[part=title]{height:2.7em;overflow:hidden;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;overflow-wrap:anywhere}
a:hover [part=title]{text-decoration:underline}
[part=price]{font-weight:600;min-height:1.35em}
[part=reason]{font-size:.875em;height:2.7em;overflow:hidden;opacity:.8}
.wait [part]:empty:not([part=image]){background:linear-gradient(#8883 0 0) 0 .2em/70% 1em no-repeat}
.wait ::slotted(*){visibility:hidden}`;
let sheet;

function h(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value != null) element.setAttribute(key, value);
    element.append(...children);
    return element;
}

function defaultCard(item) {
    const image = h("span", { part: "image", "data-initial": item.title?.[0] ?? "" });
    if (item.image) {
        const picture = h("img", { alt: "", loading: "lazy", src: item.image });
        picture.onerror = () => picture.remove();
        image.append(picture);
    }
    const lines = Object.entries({ title: item.title, price: item.price_text, reason: item.reason });
    return h(item.url ? "a" : "div", { part: "card", href: item.url || null }, image, ...lines.map(([part, text]) => h("span", { part }, text ?? "")));
}

/** The shop's own card: of each element with data-field the text, of an image `src`, of a link with data-field="url" `href`. */
function ownCard(template, item) {
    const card = template.cloneNode(true);
    for (const element of [card, ...card.querySelectorAll("*")]) {
        const { field } = element.dataset, value = (field === "price" ? item.price_text : item[field]) || "";
        const attribute = { img: "src", a: field === "url" && "href" }[element.localName];
        if (!field) continue;
        if (!attribute) element.textContent = value || "\u00a0";
        else if (safeUrl(value)) element.setAttribute(attribute, value);
    }
    return card;
}

class AlsoBought extends (globalThis.HTMLElement ?? Object) {
    static observedAttributes = ["surface", "pipe", "item", "limit", "heading", "parameters"];
    #ends = [];
    #cards = [];
    #latest = 0;
    #due = false;
    #reload = () => {
        if (this.#due) return;
        this.#due = true; // several attributes may change at once
        queueMicrotask(() => { this.#due = false; if (this.isConnected) this.#load(); });
    };

    connectedCallback() {
        if (!this.shadowRoot) {
            if (!sheet) { sheet = new CSSStyleSheet(); sheet.replaceSync(CSS); }
            this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
        }
        document.addEventListener(CHANGE, this.#reload);
        this.#reload();
    }

    disconnectedCallback() {
        document.removeEventListener(CHANGE, this.#reload);
        this.#clear();
    }

    attributeChangedCallback() { if (this.isConnected) this.#reload(); }

    #clear() {
        for (const end of this.#ends) end();
        for (const card of this.#cards) card.remove();
        this.#ends = [];
        this.#cards = [];
    }

    async #load() {
        const own = ++this.#latest, limit = Math.max(1, parseInt(this.getAttribute("limit")) || 4), pipe = this.getAttribute("pipe");
        const parameters = { ...Object.fromEntries(new URLSearchParams(this.getAttribute("parameters") ?? "")), item_id: this.getAttribute("item"), limit };
        if (!this.shadowRoot.firstChild) this.#show(Array(limit).fill({}), true);
        let answer = { items: [] };
        try {
            answer = await recommend(pipe ? { pipe } : this.getAttribute("surface"), parameters);
        } catch (error) {
            console.warn(error); // the page does without this shelf
        }
        if (own !== this.#latest || !this.isConnected) return;
        this.#show(answer.items.slice(0, limit), false);
        this.dispatchEvent(new CustomEvent("alsobought-shown", { detail: answer, bubbles: true }));
    }

    /** Placeholders, while it waits, are the same cards without content: nothing moves when the answer is there. */
    #show(items, waits) {
        this.#clear();
        const template = this.querySelector("template")?.content.firstElementChild, text = this.getAttribute("heading");
        const list = h("ul", { role: "list", part: "list", "aria-labelledby": text ? "heading" : null });
        items.forEach((item, index) => {
            const entry = h("li", waits ? { class: "wait", "aria-hidden": "true" } : {});
            if (template) {
                const card = ownCard(template, item);
                card.slot = `card-${index}`;
                this.#cards.push(card);
                entry.append(h("slot", { name: card.slot }));
            } else entry.append(defaultCard(item));
            if (!waits) this.#ends.push(observe(entry, item));
            list.append(entry);
        });
        this.append(...this.#cards);
        this.shadowRoot.replaceChildren(...(text ? [h("h2", { id: "heading", part: "heading" }, text)] : []), list);
        this.hidden = !items.length;
        this.ariaBusy = waits;
    }
}

if (globalThis.customElements && !customElements.get("also-bought")) customElements.define("also-bought", AlsoBought);
