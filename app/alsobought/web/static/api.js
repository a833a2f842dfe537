/* The server, as seen from the page: list the pipes, ask one, post events. Every failure is an ApiError. */

const PATIENCE_MS = 20000;
const CASES_PATIENCE_MS = 70000;
const known = new Map();

export class ApiError extends Error {
    constructor(message, { code = null, hint = null, details = [], status = 0, requestId = null } = {}) {
        super(message);
        Object.assign(this, { code, hint, details, status, requestId });
    }
}

const absolute = (path) => new URL(path, document.baseURI).href;

async function send(address, options) {
    let response;
    let body = null;
    try {
        response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
        body = await response.json().catch(() => null);
    } catch {
        throw new ApiError("The server does not answer.", { hint: "Check that it is running, then try again." });
    }
    if (response.ok && body) return { body, headers: response.headers };
    const { message, ...rest } = body?.error ?? {};
    throw new ApiError(message ?? `The server answered ${response.status} without saying why.`,
        { ...rest, details: rest.details ?? [], status: response.status, requestId: body?.request_id });
}

const fetchJson = async (address, options) => (await send(address, options)).body;

export async function loadPipes() {
    const { pipes } = await fetchJson(absolute("pipes"), { cache: "no-cache" });
    known.clear();
    for (const pipe of pipes) known.set(pipe.name, pipe);
    return pipes;
}

export const knownPipes = () => [...known.values()];
export const knownPipe = (name) => known.get(name);

/** The pipe of that name, if it can be asked. */
export const readyPipe = (name) => (known.get(name)?.ready === false ? undefined : known.get(name));

/** The full address of one request; parameters are [name, value] pairs, so a name may repeat. */
export function address(pipe, pairs, suffix = "") {
    const query = new URLSearchParams(pairs).toString();
    return absolute(`pipes/${encodeURIComponent(pipe)}${suffix}`) + (query && `?${query}`);
}

/** Ask a pipe. `fresh` asks the server to pass over its cache, as one must right after posting an event. */
export async function ask(pipe, pairs, { fresh = false } = {}) {
    const started = performance.now();
    const { body, headers } = await send(address(pipe, pairs), { cache: fresh ? "no-store" : "no-cache" });
    return { ...body, roundTrip: performance.now() - started, kept: /; hit/.test(headers.get("Cache-Status") ?? "") };
}

/** What a pipe can take of `wanted`: what it does not declare is left out, numbers stay in range. */
const pairsFor = (pipe, wanted) => pipe.parameters
    .filter((one) => wanted[one.name] !== undefined)
    .map((one) => [one.name, one.maximum === null || typeof wanted[one.name] !== "number"
        ? wanted[one.name] : Math.min(wanted[one.name], one.maximum)]);

/** Ask a pipe for what it can take of `wanted`. */
export function askFor(name, wanted, options) {
    const pipe = readyPipe(name);
    if (!pipe) throw new ApiError("Not available just now.", { hint: `pipes/${name}.sql is missing or broken.` });
    return ask(name, pairsFor(pipe, wanted), options);
}

/** Post events and come back when the recommendations see them. */
export async function post(events) {
    const body = await fetchJson(absolute("events?wait=true"), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(events.length === 1 ? events[0] : events),
    });
    if (body.rejected?.length) throw new ApiError(`The server refused the event: ${body.rejected[0].problem}`);
    return body;
}

// ---- the workbench: what it shows beyond answers, and what it may change

const atWorkbench = (path, pairs = []) => absolute(`workbench${path}`) + (pairs.length ? `?${new URLSearchParams(pairs)}` : "");
const ofPipe = (name, what = "") => `/pipes/${encodeURIComponent(name)}${what}`;

/** {open, edit}: whether this browser may look inside, and whether it may change pipes. */
export const loadWorkbench = () => fetchJson(atWorkbench(""));
export const loadSource = (name) => fetchJson(atWorkbench(ofPipe(name)));
export const loadSql = (name, pairs) => fetchJson(atWorkbench(ofPipe(name, "/sql"), pairs));
export const loadPlan = (name, pairs) => fetchJson(atWorkbench(ofPipe(name, "/plan"), pairs));
/** What arrives, and in `answer` what this pipe says, if there is such a pipe. */
export const loadLive = (name, wanted) =>
    fetchJson(atWorkbench("/live", readyPipe(name) ? [["pipe", name], ...pairsFor(readyPipe(name), wanted)] : []));

const change = (name, what, body = {}) => fetchJson(atWorkbench(ofPipe(name, what)), {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Workbench": "1" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(CASES_PATIENCE_MS),
});

const grouped = (pairs) => {
    const groups = {};
    for (const [name, value] of pairs) (groups[name] ??= []).push(value);
    return groups;
};

/** What is wrong with a text that is not saved, what it would answer, save it, run the cases of what is saved. */
export const tryDraft = (name, text) => change(name, "/draft", { text });
export const previewDraft = (name, text, pairs) => change(name, "/preview", { text, parameters: grouped(pairs) });
export const saveDraft = (name, text, basedOn) => change(name, "/save", { text, based_on: basedOn });
export const runCases = (name) => change(name, "/cases");
