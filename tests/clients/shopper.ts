/** A program that buys, asks and asks wrongly, with the generated types. Its argument is the address of a shop. */
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

const shop = createClient<paths, "application/json">({ baseUrl: process.argv[2]! });

const buy = (order_id: string, item_id: string) =>
    ({ event_type: "purchase", user_id: "typed", order_id, item_id }) as const;
const accepted = await shop.POST("/events", {
    params: { query: { wait: true } },
    body: [buy("t1", "tea"), buy("t1", "mug")],
});
if (!accepted.data) throw new Error(accepted.error.error.message);

const got = await shop.GET("/pipes/also_bought", { params: { query: { item_id: ["tea"], limit: 5 } } });
if (got.error) throw new Error(got.error.error.message);
const rows: components["schemas"]["AlsoBoughtRow"][] = got.data.data;
const partners: string[] = rows.map((row) => row.other_item_id);

const next: string | null = got.data.next;
const page = await shop.GET("/pipes/all_items", { params: { query: { limit: 1 } } });
const cursor = page.data?.next;
if (!cursor) throw new Error("the shop has more than one item");
const rest = await shop.GET("/pipes/all_items", { params: { query: { limit: 1, cursor } } });

const etag = got.response.headers.get("etag")!;
const query = { item_id: ["tea"], limit: 5 };
const again = await shop.GET("/pipes/also_bought", { params: { query, header: { "If-None-Match": etag } } });

const posted = await shop.POST("/pipes/also_bought", { body: { item_id: "tea", category: null } });

const wrong = await shop.GET("/pipes/also_bought", { params: { query: { item_id: ["tea"], limit: 1000 } } });
const fault: components["schemas"]["Fault"] | undefined = wrong.error?.error;

// What the types must refuse; the compiler complains if it is accepted.
export const refused = [
    // @ts-expect-error: a parameter is missing
    () => shop.GET("/pipes/also_bought", { params: { query: { limit: 5 } } }),
    // @ts-expect-error: a number is needed
    () => shop.GET("/pipes/trending", { params: { query: { limit: "five" } } }),
    // @ts-expect-error: no such pipe
    () => shop.GET("/pipes/also_bougt"),
    // @ts-expect-error: no such column
    () => rows[0]?.price_of,
];

console.log(JSON.stringify({
    accepted: accepted.data.accepted,
    partners,
    meta: got.data.meta.length,
    next,
    pages: [page.data?.data[0]?.item_id, rest.data?.data[0]?.item_id].sort(),
    unchanged: again.response.status,
    posted: posted.data?.data.map((row) => row.other_item_id),
    fault: [wrong.response.status, fault?.code, fault?.details.map((detail) => detail.param)],
}));
