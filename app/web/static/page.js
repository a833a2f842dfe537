/* The page: load the list of pipes, then start the shop above and the workbench below.
 *
 * api.js talks to the server, dom.js builds elements, products.js draws a product,
 * picker.js is the search field, shop.js and shelf.js the shop, bench.js, form.js and answer.js the workbench.
 */
import { loadPipes } from "./api.js";
import { h, problemBox } from "./dom.js";
import { startBench } from "./bench.js";
import { startShop } from "./shop.js";

const shopSection = document.getElementById("shop");
const benchSection = document.getElementById("bench");

async function start() {
    let pipes;
    try {
        pipes = await loadPipes();
    } catch (problem) {
        const again = h("button", { type: "button", onclick: () => location.reload() }, "Try again");
        shopSection.querySelector(".loading").replaceWith(problemBox(problem, again));
        return;
    }
    const shop = await startShop(shopSection);
    benchSection.hidden = false;
    startBench(benchSection, pipes, shop);
}

start();
