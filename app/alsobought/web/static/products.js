/* Products: read them from rows of answers, look them up, and draw them as tiles. */
import { readyPipe, runWith } from "./api.js";
import { h, short } from "./dom.js";

const cache = new Map(); // item id -> product, from all answers, so that a title can be shown instead of an id

/** "Kitchen/Tea", or ["Kitchen", "Tea"] -> "Kitchen › Tea" */
const asText = (category) => (Array.isArray(category) ? category : (category ?? "").split("/")).join(" › ");
export const lastCategory = (product) => product.category.split(" › ").at(-1);

/** The product of a row: that of `other_item_id` if the row has it, else of `item_id`; null if it has neither. */
export function productOf(row) {
    const id = row.other_item_id ?? row.item_id;
    if (id === null || id === undefined) return null;
    const cached = cache.get(String(id));
    const product = {
        id: String(id),
        title: row.title || cached?.title || String(id),
        category: asText(row.category) || cached?.category || "",
        price: row.price ?? cached?.price ?? null,
        image: row.image || cached?.image || null,
    };
    cache.set(product.id, product);
    return product;
}

export const titleOf = (id) => cache.get(String(id))?.title ?? String(id);

/** Products with these words in the title; without words, the most bought products. */
export async function findProducts(words) {
    if (!readyPipe("find_items")) return [];
    const { data } = await runWith("find_items", { words, limit: 8 });
    return data.map(productOf);
}

/** The product with this id; its title is the id if the catalogue lacks it. */
export async function productById(id) {
    if (!cache.has(id)) await findProducts(id).catch(() => []);
    return cache.get(id) ?? { id, title: id, category: "", price: null, image: null };
}

/** The most active shoppers first; loaded once. */
let shoppers = null;
export async function activeShoppers() {
    if (!readyPipe("active_users")) return [];
    shoppers ??= (await runWith("active_users", { limit: 100 })).data;
    return shoppers;
}

/** FNV-1a: similar words get different hashes. */
function hash(text) {
    let sum = 0x811c9dc5;
    for (const letter of text) sum = Math.imul(sum ^ letter.codePointAt(0), 0x01000193);
    return sum >>> 0;
}

/** Categories of one department get similar hues. */
const hue = (category) => (hash(category.split(" › ")[0]) + hash(category) % 30) % 360;

function initials(title) {
    const words = title.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
    return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("") || "·";
}

/** The picture of a product, or its initials on the colour of its category. */
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

/** The other columns of a row, as [label, text] pairs. Leaves out `because_item_id` if there is `because_title`. */
export function facts(row, meta) {
    const names = new Set(meta.map((column) => column.name));
    const isShown = ({ name }) => !SHOWN_ELSEWHERE.has(name)
        && !(name.endsWith("_item_id") && names.has(name.replace(/_item_id$/, "_title")));
    const isEmpty = (value) => value === null || value === "" || (Array.isArray(value) && !value.length);
    return meta.filter(isShown).filter(({ name }) => !isEmpty(row[name])).map(({ name, type }) => {
        const value = Array.isArray(row[name]) && name.includes("item") ? row[name].map(titleOf) : row[name];
        return [name.replace(/_title$/, "").replaceAll("_", " "), short(value, type)];
    });
}
