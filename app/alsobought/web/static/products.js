/* A product as the page knows it: whose row it is, what it is called, and the tile that stands for its picture. */
import { askFor, readyPipe } from "./api.js";
import { h, short } from "./dom.js";

const seen = new Map(); // item id -> product, from every answer, so that a bare id is rarely shown

/** A category is a path, "Kitchen/Tea"; people read "Kitchen › Tea". */
const asText = (category) => (Array.isArray(category) ? category : (category ?? "").split("/")).join(" › ");
export const lastCategory = (product) => product.category.split(" › ").at(-1);

/** The product a row recommends: `other_item_id` if the row has one, else `item_id`; null if it has neither. */
export function productOf(row) {
    const id = row.other_item_id ?? row.item_id;
    if (id === null || id === undefined) return null;
    const before = seen.get(String(id));
    const product = {
        id: String(id),
        title: row.title || before?.title || String(id),
        category: asText(row.category) || before?.category || "",
        price: row.price ?? before?.price ?? null,
        image: row.image || before?.image || null,
    };
    seen.set(product.id, product);
    return product;
}

export const titleOf = (id) => seen.get(String(id))?.title ?? String(id);

/** Products whose title has these words; with no words, those bought most. */
export async function findProducts(words) {
    if (!readyPipe("find_items")) return [];
    const { data } = await askFor("find_items", { words, limit: 8 });
    return data.map(productOf);
}

/** The product with this id, with its title where the catalogue knows it. */
export async function productById(id) {
    if (!seen.has(id)) await findProducts(id).catch(() => []);
    return seen.get(id) ?? { id, title: id, category: "", price: null, image: null };
}

/** Shoppers with something to show, most active first; asked once. */
let shoppers = null;
export async function activeShoppers() {
    if (!readyPipe("active_users")) return [];
    shoppers ??= (await askFor("active_users", { limit: 100 })).data;
    return shoppers;
}

/** FNV-1a: words that differ little land far apart. */
function hash(text) {
    let sum = 0x811c9dc5;
    for (const letter of text) sum = Math.imul(sum ^ letter.codePointAt(0), 0x01000193);
    return sum >>> 0;
}

/** One department, one family of colours; its parts differ a little. */
const hue = (category) => (hash(category.split(" › ")[0]) + hash(category) % 30) % 360;

function initials(title) {
    const words = title.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
    return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("") || "·";
}

/** The picture, or in its place a tile: initials on the colour of the category. */
export function tile(product) {
    const box = h("span.tile", { "aria-hidden": "true" }, initials(product.title));
    box.style.setProperty("--hue", hue(product.category || product.id));
    if (/^https:\/\//.test(product.image ?? "")) {
        const picture = h("img", { alt: "", loading: "lazy", src: product.image, onerror: () => picture.remove() });
        box.append(picture);
    }
    return box;
}

const SHOWN_ELSEWHERE = new Set(["item_id", "other_item_id", "title", "category", "image", "reason"]);

/** What else a row says about its product, as [label, text] pairs in the order of the columns.
 *  `because_item_id` beside `because_title` is left out: people read the title. */
export function facts(row, meta) {
    const names = new Set(meta.map((column) => column.name));
    const told = ({ name }) => !SHOWN_ELSEWHERE.has(name)
        && !(name.endsWith("_item_id") && names.has(name.replace(/_item_id$/, "_title")));
    const empty = (value) => value === null || value === "" || (Array.isArray(value) && !value.length);
    return meta.filter(told).filter(({ name }) => !empty(row[name])).map(({ name, type }) => {
        const value = Array.isArray(row[name]) && name.includes("item") ? row[name].map(titleOf) : row[name];
        return [name.replace(/_title$/, "").replaceAll("_", " "), short(value, type)];
    });
}
