/** What start() takes. */
export interface Options {
    /** The address of the service. Where the script comes from the service, it is known. */
    url?: string;
    /** A browser key, `ab_public_…`. */
    key?: string;
    /** True if the visitor has agreed to being remembered. Without it nothing is stored and no event is sent. */
    consent?: boolean;
    /** The user who is logged in. */
    userId?: string | null;
    /** A token of this user, of `POST /tokens`. */
    token?: string;
    /** Of prices whose items name none, such as `EUR`. */
    currency?: string;
    /** Of prices; by default the language of the page. */
    locale?: string;
    /** Do Not Track and Global Privacy Control count as no consent, unless this is true. */
    ignoreDoNotTrack?: boolean;
}

/** The fields of an event about an item. */
export interface ItemFields {
    item_id: string | number;
    quantity?: number;
    price?: number;
    category?: string;
    properties?: Record<string, unknown>;
    recommendation_id?: string;
    position?: number;
}

export interface Order {
    order_id?: string | number;
    items: readonly ItemFields[];
}

/** An item to show: a row of the answer, with addresses that are safe to link. */
export interface Item {
    item_id: string;
    title: string;
    /** The price with its currency, empty without one. */
    price_text: string;
    url: string;
    image: string;
    /** From 1. */
    position: number;
    recommendation_id: string;
    reason?: string;
    price?: number;
    currency?: string;
    category?: string;
    [column: string]: unknown;
}

export interface Answer {
    items: Item[];
    data: Record<string, unknown>[];
    recommendation_id: string;
    request_id: string;
    surface?: string;
    experiment?: string | null;
    variant?: string | null;
    [field: string]: unknown;
}

export type Surface = string | { pipe: string };
export type Parameters = Record<string, string | number | boolean | null | undefined | readonly (string | number)[]>;

/** Call it once on every page, before or after the first shelf is in it. */
export function start(options: Options): void;
/** Given: guests get an id, events are sent. Withdrawn: the id, waiting events and remembered clicks are deleted. */
export function consent(given: boolean): Promise<void>;
/** The user who is logged in, or null after the logout. With a token that may post events, the guest becomes this user. */
export function identify(userId: string | null, token?: string): Promise<void>;
/** The session_id of a guest, for a backend that merges it when the guest logs in; "" without one. */
export function guestId(): string;
/** The answer of a surface, or of `{pipe: "name"}`. Rejects with an Error. */
export function recommend(surface: Surface, parameters?: Parameters): Promise<Answer>;
/** Report the impression and the clicks of an element that shows an item of an answer. Returns what ends that. */
export function observe(element: Element, item: Item): () => void;
/** The recommendation by which a buyer came to an item in this browser, in the last seven days. */
export function lastClick(itemId: string | number): { recommendation_id?: string; position?: number };
export function view(item: string | number | ItemFields): void;
/** A click on an item of an answer; `observe` reports those on its element. */
export function click(item: ItemFields): void;
export function addToCart(item: string | number | ItemFields): void;
export function removeFromCart(item: string | number | ItemFields): void;
/** Each line once, also if the page is loaded again. */
export function purchase(order: Order): void;
/** An event of any type; `more` are other fields of it. */
export function track(eventType: string, item: string | number | ItemFields, more?: Record<string, unknown>): void;
/** Send now what waits. */
export function flush(): Promise<void>;
