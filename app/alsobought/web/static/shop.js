/* The shop: one shopper, one product, and four shelves that are refreshed after every action.
 *
 * Opening a product from a shelf posts a view; choosing one in the search field only shows it.
 * Buy orders the cart and the product together, so that "also bought" gets a basket.
 */
import { post } from "./api.js";
import { duration, h, newId, screenReaderText, sentences } from "./dom.js";
import { productOption, productPicker, shopperPicker } from "./picker.js";
import { activeShoppers, findProducts, tile } from "./products.js";
import { makeShelf } from "./shelf.js";

const REFRESH_MS = 2000;
const POINTER_IDLE_MS = 1200; // rows do not move under a pointer that moved this recently

const SHELVES = [
    { pipe: "also_bought", title: "Also bought", about: ({ product }) => (product ? `with ${product.title}` : ""),
        empty: "No shared baskets yet: add two products to the cart and buy." },
    { pipe: "for_you", title: "For you", about: ({ shopper }) => shopper,
        empty: "Nothing yet: view or buy a product." },
    { pipe: "trending", title: "Trending", about: () => "for everyone",
        empty: "Nothing yet: products appear as events arrive." },
    { pipe: "recently_viewed", title: "Recently viewed", about: ({ shopper }) => `by ${shopper}`,
        empty: "No views yet: open a product." },
];

function randomId(prefix) {
    const bytes = crypto.getRandomValues(new Uint8Array(8)); // randomUUID is missing on plain http
    return prefix + [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function makeShop(section, workbench) {
    let visible = true;
    startShop(section, () => visible, workbench.post);
    return {
        enter: () => { visible = true; },
        leave: () => { visible = false; },
        filter: () => section.querySelectorAll("[role=combobox]")[1],
    };
}

/** Fill the section; trending refreshes itself while `isVisible()`. Without `mayPost` one can look and not act. */
async function startShop(section, isVisible, mayPost) {
    const state = { shopper: "guest", product: null, cart: [], session: randomId("page-") };
    let actions = 0;
    let acting = 0; // actions in progress

    const getContext = () => ({ ...state, parameters: { item_id: state.product?.id, user_id: state.shopper } });
    const live = h("input", { type: "checkbox", checked: true });
    const liveLabel = h("label.switch", {}, live, "live");
    const shelves = SHELVES.map((spec) =>
        makeShelf(spec, { getContext, open }, ...(spec.pipe === "trending" ? [liveLabel] : [])));
    const refreshAll = (options) => Promise.all(shelves.map((shelf) => shelf.refresh(options)));

    // ---- the parts on the left
    const shopperField = shopperPicker({ id: newId("shopper"), onchoose: ({ value }) => changeShopper(value) });
    const productField = productPicker({ id: newId("product"), onchoose: ({ product }) => { show(product); refreshAll(); } });
    const card = h("div.product");
    const cart = h("div.cart", { hidden: true });
    const status = h("p.status", { role: "status" });
    section.append(h("div.shop", {},
        h("div.counter", {},
            h("div.field", {}, h("label", { htmlFor: shopperField.input.id }, "Shopper"), shopperField.root),
            h("div.field", {}, h("label", { htmlFor: productField.input.id }, "Product"), productField.root),
            card, cart, status),
        h("div.shelves", {}, shelves.map((shelf) => shelf.root))));

    // ---- actions
    const event = (event_type, product, more = {}) =>
        ({ event_type, user_id: state.shopper, session_id: state.session, item_id: product.id, ...more });

    /** Post the events, refresh the shelves, show the time it took; false if the events were not accepted. */
    async function act(label, events) {
        const mine = ++actions;
        acting += 1;
        const started = performance.now();
        status.className = "status";
        status.textContent = "Sending…";
        try {
            await post(events);
            const stored = performance.now() - started;
            const problems = (await refreshAll({ fresh: true })).filter(Boolean);
            if (mine !== actions) return true;
            const total = performance.now() - started;
            status.replaceChildren(h("strong", {}, duration(total)), h("span", {}, label,
                h("span.quiet", {}, `${duration(stored)} to store and count, ${duration(total - stored)} to refresh the shelves`)));
            if (problems.length) status.lastChild.append(h("span.wrong", {}, "Some shelves are not available."));
            return true;
        } catch (problem) {
            if (mine !== actions) return false;
            const details = (problem.details ?? []).map((detail) => detail.problem);
            status.className = "status wrong";
            status.textContent = sentences(problem.message, ...details, problem.hint);
            return false;
        } finally {
            acting -= 1;
        }
    }

    function open(product) {
        show(product);
        card.querySelector("h3").focus();
        if (mayPost) act("Viewed", [event("view", product)]);
        else refreshAll();
    }

    function addToCart() {
        const { product } = state;
        if (!state.cart.some(({ id }) => id === product.id)) state.cart.push(product);
        drawCart();
        act("Added to the cart", [event("add_to_cart", product, { quantity: 1 })]);
    }

    function removeFromCart(product) {
        state.cart = state.cart.filter(({ id }) => id !== product.id);
        drawCart();
        card.querySelector("h3").focus({ preventScroll: true });
        act("Removed from the cart", [event("remove_from_cart", product)]);
    }

    const order = () => [...state.cart.filter(({ id }) => id !== state.product.id), state.product];

    async function buy() {
        const products = order();
        const line = { order_id: randomId("order-"), order_size: products.length, quantity: 1 };
        const bought = await act(products.length > 1 ? `Bought ${products.length} products` : "Bought",
            products.map((product) => event("purchase", product, line)));
        if (!bought) return;
        state.cart = state.cart.filter(({ id }) => !products.some((product) => product.id === id));
        drawCart();
    }

    // ---- drawing
    const buyButton = h("button.main", { type: "button", onclick: buy }, "Buy");
    const buttons = !mayPost ? h("p.quiet", {}, "Your key cannot post events: look around. The scope ", h("code", {}, "events:write"),
        " lets you act as a shopper.") : h("div.buttons", {},
        h("button", { type: "button", onclick: () => act("Viewed", [event("view", state.product)]) }, "View"),
        h("button", { type: "button", onclick: addToCart }, "Add to cart"), buyButton);

    function drawCart() {
        cart.hidden = !state.cart.length;
        cart.replaceChildren(h("h4", {}, "Cart"), h("ul.chips", {}, state.cart.map((product) => h("li", {}, product.title,
            h("button", { type: "button", onclick: () => removeFromCart(product) }, "×", screenReaderText(` remove ${product.title} from the cart`))))));
        const size = state.product ? order().length : 1;
        buyButton.textContent = size > 1 ? `Buy ${size}` : "Buy";
    }

    function show(product) {
        state.product = product;
        productField.show(productOption(product));
        card.replaceChildren(tile(product), h("div.what", {}, h("h3", { tabIndex: -1 }, product.title),
            h("p.quiet", {}, productOption(product).note || product.id)), buttons);
        drawCart();
    }

    function changeShopper(name) {
        Object.assign(state, { shopper: name, cart: [], session: randomId("page-") });
        drawCart();
        status.replaceChildren();
        refreshAll();
    }

    // ---- trending refreshes itself
    const trending = shelves[SHELVES.findIndex((spec) => spec.pipe === "trending")];
    let pointerMoved = -POINTER_IDLE_MS;
    trending.root.addEventListener("pointermove", () => { pointerMoved = performance.now(); });
    async function refreshTrending() {
        const idle = !acting && performance.now() - pointerMoved > POINTER_IDLE_MS;
        const problem = live.checked && isVisible() && !document.hidden && idle ? await trending.refresh({ keepMarks: true }) : null;
        setTimeout(refreshTrending, problem ? 5 * REFRESH_MS : REFRESH_MS);
    }

    // ---- start with the most active shopper and the most bought product, without posting an event
    const [users, products] = await Promise.all([activeShoppers().catch(() => []), findProducts("").catch(() => [])]);
    if (users.length) state.shopper = String(users[0].user_id);
    shopperField.show({ value: state.shopper, label: state.shopper });
    if (products.length) show(products[0]);
    else card.replaceChildren(h("p.note", {}, "No products yet. Load a catalogue, or run make demo."));
    refreshAll();
    setTimeout(refreshTrending, REFRESH_MS);
}
